"""The problem a method solves; it does not know how it will be solved."""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from models.errors import InjectionError
from models.head import Head
from models.text_tower import TextTower


@dataclass(frozen=True, eq=False)
class Task:
    """A seen head (S classes) and one class embedding per class, seen and unseen, in order.

    `text_tower` is of the encoder that made the class embeddings, where it reads prompts.
    """

    head: Head
    class_embeddings_SA: Tensor  # noqa: N815 - shape suffix
    unseen_class_embeddings_UA: Tensor  # noqa: N815 - shape suffix
    unseen_class_names: tuple[str, ...]
    text_tower: TextTower | None = None

    def __post_init__(self) -> None:
        _check_names(self.unseen_class_names, self.head.class_names)
        _check_embeddings("seen", self.class_embeddings_SA, self.head.class_names)
        _check_embeddings("unseen", self.unseen_class_embeddings_UA, self.unseen_class_names)
        sizes = (self.class_embeddings_SA.shape[1], self.unseen_class_embeddings_UA.shape[1])
        if sizes[0] != sizes[1]:
            raise InjectionError(
                f"the unseen class embeddings have {sizes[1]} numbers; the seen ones have "
                f"{sizes[0]}",
                pointer="/class_embeddings/unseen",
            )


def _check_names(unseen: tuple[str, ...], seen: tuple[str, ...]) -> None:
    if not unseen:
        raise InjectionError("no class to add: name at least one", pointer="/add")
    counts, present = Counter(unseen), set(seen)
    for index, name in enumerate(unseen):
        if name in present:
            problem = f"the head already has a class {name!r}"
        elif counts[name] > 1:
            problem = f"class {name!r} is to be added {counts[name]} times; every name once"
        else:
            continue
        raise InjectionError(problem, pointer=f"/add/{index}/name")


def _check_embeddings(part: str, embeddings_CA: Tensor, names: tuple[str, ...]) -> None:
    pointer = f"/class_embeddings/{part}"
    if embeddings_CA.ndim != 2 or embeddings_CA.shape[1] == 0:
        raise InjectionError(
            f"the {part} class embeddings have shape {tuple(embeddings_CA.shape)}; "
            "they must be (classes, numbers)",
            pointer=pointer,
        )
    if len(embeddings_CA) != len(names):
        raise InjectionError(
            f"{len(embeddings_CA)} {part} class embeddings for {len(names)} classes: "
            "one per class, in order",
            pointer=pointer,
        )
    _refuse_rows(~torch.isfinite(embeddings_CA).all(dim=1), "holds NaN or infinity", pointer, names)
    _refuse_rows((embeddings_CA == 0).all(dim=1), "is all zero", pointer, names)


def _refuse_rows(bad_C: Tensor, defect: str, pointer: str, names: tuple[str, ...]) -> None:
    if bad_C.any():
        index = int(bad_C.nonzero()[0])
        raise InjectionError(
            f"the class embedding of {names[index]!r} {defect}", pointer=f"{pointer}/{index}"
        )

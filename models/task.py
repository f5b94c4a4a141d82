"""The problem a method solves: a head, and class embeddings of its classes and of new ones."""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from headgraft.models.embeddings.normalise import prepare
from headgraft.models.embeddings.text_tower import TextTower
from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import (
    CalibrationFeatures,
    UnlabelledFeatures,
    check_label_range,
)
from headgraft.models.features.regions import RegionFeatures
from headgraft.models.heads.head import Head


@dataclass(frozen=True, eq=False)
class Attributes:
    """What each of A attributes means: a vector (A, V), and its name where it has one."""

    vectors_AV: Tensor
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        pointer = "/attributes"
        if self.vectors_AV.ndim != 2 or 0 in self.vectors_AV.shape:
            shape = tuple(self.vectors_AV.shape)
            problem = (
                f"the attribute vectors have shape {shape}; they must be (attributes, numbers)"
            )
            raise InjectionError(problem, pointer=pointer)
        names = self.names or tuple(map(str, range(len(self.vectors_AV))))
        if len(names) != len(self.vectors_AV):
            problem = f"{len(names)} names for {len(self.vectors_AV)} attribute vectors"
            raise InjectionError(problem, pointer=pointer)
        bad_A = ~torch.isfinite(self.vectors_AV).all(dim=1) | (self.vectors_AV == 0).all(dim=1)
        if bad_A.any():
            name = names[int(bad_A.nonzero()[0])]
            problem = f"the vector of attribute {name!r} is all zero or holds NaN or infinity"
            raise InjectionError(problem, pointer=pointer)


@dataclass(frozen=True, eq=False)
class Task:
    """A seen head (S classes) and one class embedding per class, seen and unseen, in order.

    `text_tower` is of the encoder that made the class embeddings, where it reads prompts. Where
    class embeddings are attributes, `attributes` says what each means. `features` are of pictures
    of seen classes as the head reads them, for calibration and for methods that take them;
    `regions` the same of the pictures' regions; `unlabelled` are for calibration alone.
    `meaningless_embeddings_NA` are of random words, by the encoder that made the class embeddings.
    InjectionError where the parts do not fit.
    """

    head: Head
    class_embeddings_SA: Tensor
    unseen_class_embeddings_UA: Tensor
    unseen_class_names: tuple[str, ...]
    text_tower: TextTower | None = None
    attributes: Attributes | None = None
    regions: RegionFeatures | None = None
    features: CalibrationFeatures | None = None
    unlabelled: UnlabelledFeatures | None = None
    meaningless_embeddings_NA: Tensor | None = None

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
        _check_attributes(self.attributes, sizes[0])
        if self.regions is not None:
            check_label_range(self.regions.labels_N, self.head.class_count)

    def normalised_embeddings(
        self, device: str | torch.device, dtype: torch.dtype, *, centre: bool, unit: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return the seen (S, A) and unseen (U, A) class embeddings, prepared on a device."""
        return prepare(
            self.class_embeddings_SA.to(device, dtype),
            self.unseen_class_embeddings_UA.to(device, dtype),
            centre=centre,
            unit=unit,
        )


def _check_attributes(attributes: Attributes | None, size: int) -> None:
    if attributes is not None and len(attributes.vectors_AV) != size:
        raise InjectionError(
            f"{len(attributes.vectors_AV)} attributes; the class embeddings have {size} numbers, "
            "one for each",
            pointer="/attributes",
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

"""A classifier's last layer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.errors import InjectionError

Metric = Literal["linear", "cosine"]


@dataclass(frozen=True, eq=False)
class Head:
    """weight (C, D), bias (C,) or None, one name per class, all finite.

    Names may repeat: a class is its row.

    Logits are `x . w + b` (linear) or `scale * cos(x, w) + b` (cosine). `injected` are the numbers
    of the rows that were not trained but injected before.
    """

    weight: Tensor
    bias: Tensor | None
    class_names: tuple[str, ...]
    metric: Metric = "linear"
    scale: float = 1.0
    injected: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for pointer, problem in _problems(self):
            raise InjectionError(problem, code="invalid_head", pointer=pointer)

    @property
    def class_count(self) -> int:
        """C."""
        return self.weight.shape[0]

    @property
    def feature_size(self) -> int:
        """D."""
        return self.weight.shape[1]

    @property
    def trained_C(self) -> Tensor:
        """Mask (C,) of the trained rows; all of a head that has none."""
        trained_C = torch.ones(self.class_count, dtype=torch.bool)
        trained_C[list(self.injected)] = False
        return trained_C if trained_C.any() else ~trained_C

    @property
    def rows(self) -> Tensor:
        """theta (C, K): the weight with the bias, if any, as last column."""
        if self.bias is None:
            return self.weight
        return torch.cat([self.weight, self.bias[:, None]], dim=1)

    def logits(self, features_ND: Tensor) -> Tensor:
        """Score features (N, D): (N, C), in float32 or wider whatever the head is stored in."""
        dtype = torch.promote_types(self.weight.dtype, torch.float32)
        x_ND, weight_CD = features_ND.to(dtype), self.weight.to(dtype)
        if self.metric == "cosine":
            logits_NC = self.scale * normalize(x_ND) @ normalize(weight_CD).T
        else:
            logits_NC = x_ND @ weight_CD.T
        return logits_NC if self.bias is None else logits_NC + self.bias.to(dtype)

    def with_rows(self, rows_UK: Tensor, class_names: tuple[str, ...]) -> "Head":
        """Make a head of this kind from rows (U, K): float32, on the CPU, bias iff this has one."""
        rows_UK = rows_UK.detach().to("cpu", torch.float32)
        if self.bias is None:
            return Head(rows_UK.contiguous(), None, class_names, self.metric, self.scale)
        weight_UD, bias_U = rows_UK[:, :-1].contiguous(), rows_UK[:, -1].contiguous()
        return Head(weight_UD, bias_U, class_names, self.metric, self.scale)


def _problems(head: Head) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a head, each problem with the pointer to it; the first counts."""
    weight, bias, names = head.weight, head.bias, head.class_names
    if weight.ndim != 2 or 0 in weight.shape:
        shape = tuple(weight.shape)
        yield "/head/weight", f"the head's weight has shape {shape}; it must be (classes, features)"
    if not weight.is_floating_point():
        yield "/head/weight", f"the head's weight holds {weight.dtype}, not floats"
    if bias is not None and bias.shape != weight.shape[:1]:
        yield (
            "/head/bias",
            f"the head's bias has shape {tuple(bias.shape)}; the weight has {len(weight)} rows, "
            f"so it must be ({len(weight)},)",
        )
    if len(names) != len(weight):
        yield (
            "/class_names",
            f"{len(names)} class names for a head of {len(weight)} rows: one per row, in order",
        )
    for part, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and (row := _first_not_finite(tensor)) is not None:
            problem = f"the head's {part} of class {names[row]!r} holds NaN or infinity"
            yield f"/head/{part}", problem
    if head.metric not in ("linear", "cosine"):
        yield "/head/metric", f"metric {head.metric!r} is not one of linear, cosine"


def _first_not_finite(tensor: Tensor) -> int | None:
    bad_C = ~torch.isfinite(tensor.reshape(len(tensor), -1)).all(dim=1)
    return int(bad_C.nonzero()[0]) if bad_C.any() else None

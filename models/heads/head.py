"""A classifier's last layer; it does not know what file it came from."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.errors import InjectionError

Metric = Literal["linear", "cosine"]


@dataclass(frozen=True, eq=False)
class Head:
    """weight (C, D), bias (C,) or None, one unique name per class, all finite.

    Logits are `x . w + b` (linear) or `scale * cos(x, w) + b` (cosine).
    """

    weight: Tensor
    bias: Tensor | None
    class_names: tuple[str, ...]
    metric: Metric = "linear"
    scale: float = 1.0

    def __post_init__(self) -> None:
        _check_shapes(self.weight, self.bias, self.class_names)
        _check_finite("weight", self.weight, self.class_names)
        if self.bias is not None:
            _check_finite("bias", self.bias, self.class_names)
        if self.metric not in ("linear", "cosine"):
            raise _error(f"metric {self.metric!r} is not one of linear, cosine", "/head/metric")
        repeated = [name for name, count in Counter(self.class_names).items() if count > 1]
        if repeated:
            raise _error(
                f"class {repeated[0]!r} stands more than once among the class names; "
                "every name must be unique",
                "/class_names",
            )

    @property
    def class_count(self) -> int:
        """C."""
        return self.weight.shape[0]

    @property
    def feature_size(self) -> int:
        """D."""
        return self.weight.shape[1]

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


def _check_shapes(weight: Tensor, bias: Tensor | None, class_names: tuple[str, ...]) -> None:
    if weight.ndim != 2 or 0 in weight.shape:
        raise _error(
            f"the head's weight has shape {tuple(weight.shape)}; it must be (classes, features)",
            "/head/weight",
        )
    if not weight.is_floating_point():
        raise _error(f"the head's weight holds {weight.dtype}, not floats", "/head/weight")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise _error(
            f"the head's bias has shape {tuple(bias.shape)}; the weight has {len(weight)} rows, "
            f"so it must be ({len(weight)},)",
            "/head/bias",
        )
    if len(class_names) != len(weight):
        raise _error(
            f"{len(class_names)} class names for a head of {len(weight)} rows: one per row, "
            "in order",
            "/class_names",
        )


def _check_finite(what: str, tensor: Tensor, class_names: tuple[str, ...]) -> None:
    finite_C = torch.isfinite(tensor.reshape(len(tensor), -1)).all(dim=1)
    if not finite_C.all():
        name = class_names[int((~finite_C).nonzero()[0])]
        raise _error(f"the head's {what} of class {name!r} holds NaN or infinity", f"/head/{what}")


def _error(message: str, pointer: str) -> InjectionError:
    return InjectionError(message, code="invalid_head", pointer=pointer)

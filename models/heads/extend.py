"""Appends synthesized rows to a head.

A method that was asked to replace seen rows returns one row per class, seen first.
"""

import torch
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.models.heads.head import Head


def inject(seen: Head, unseen: Head) -> Head:
    """Append the unseen rows, cast to the seen head's dtype; seen rows stay bit for bit.

    Raises InjectionError where the heads do not fit, or a row overflows the dtype.
    """
    if seen.feature_size != unseen.feature_size or (seen.bias is None) != (unseen.bias is None):
        raise InjectionError(
            f"rows {_describe(unseen)} cannot extend a head {_describe(seen)}", code="invalid_head"
        )
    weight = torch.cat([seen.weight, cast_rows(unseen.weight, seen.weight, unseen.class_names)])
    bias = None
    if seen.bias is not None and unseen.bias is not None:
        bias = torch.cat([seen.bias, cast_rows(unseen.bias, seen.bias, unseen.class_names)])
    names = seen.class_names + unseen.class_names
    injected = (*seen.injected, *range(seen.class_count, len(names)))
    return Head(weight, bias, names, seen.metric, seen.scale, injected)


def split(seen: Head, rows: Head) -> tuple[Head, Head]:
    """Part a method's rows into the head's seen rows, old or replaced, and the unseen rows.

    Replaced rows are cast to the seen head's dtype.
    """
    S = seen.class_count
    if rows.class_names[:S] != seen.class_names:
        return seen, rows
    weight = cast_rows(rows.weight[:S], seen.weight, seen.class_names)
    old_bias, new_bias = None, None
    if seen.bias is not None and rows.bias is not None:
        old_bias = cast_rows(rows.bias[:S], seen.bias, seen.class_names)
        new_bias = rows.bias[S:]
    return (
        Head(weight, old_bias, seen.class_names, seen.metric, seen.scale, seen.injected),
        Head(rows.weight[S:], new_bias, rows.class_names[S:], rows.metric, rows.scale),
    )


def cast_rows(rows: Tensor, like: Tensor, class_names: tuple[str, ...]) -> Tensor:
    """Cast rows (U, .) to dtype and device of `like`; InjectionError for a class that overflows."""
    cast = rows.to(like.device, like.dtype)
    finite_U = torch.isfinite(cast.reshape(len(cast), -1)).all(dim=1)
    if not finite_U.all():
        index = int((~finite_U).nonzero()[0])
        raise InjectionError(
            f"the row of class {class_names[index]!r} reaches {float(rows[index].abs().max()):g}, "
            f"beyond the {torch.finfo(like.dtype).max:g} that the checkpoint's "
            f"{str(like.dtype).removeprefix('torch.')} can hold; "
            "lower the method's scale, or upload the head as float32",
            code="row_overflow",
            pointer="/settings",
        )
    return cast


def _describe(head: Head) -> str:
    return f"of {head.feature_size} features {'without' if head.bias is None else 'with'} bias"

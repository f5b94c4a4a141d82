"""Writes a head of rows as an ONNX program of its own; it does not know who runs it."""

from collections.abc import Mapping

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.models.heads.onnx import TENSOR_BYTES_MAX, TINY, program, unit


def fits(head: Head) -> bool:
    """Tell whether the head is small enough for an ONNX file, which holds 2 GiB at most."""
    width = torch.finfo(_dtype(head)).bits // 8
    return head.class_count * (head.feature_size + 1) * width <= TENSOR_BYTES_MAX


def to_onnx(head: Head, metadata: Mapping[str, str]) -> bytes:
    """Return the program: `features` (N, D) in, `logits` (N, C) out, what `Head.logits` computes.

    Both are float32; float64 where the head is. `metadata` goes in beside the tensors.
    """
    dtype = _dtype(head)
    weight_CD = head.weight.to(dtype)
    if head.metric == "cosine":
        weight_CD = head.scale * normalize(weight_CD)
    bias = {} if head.bias is None else {"bias": head.bias.to(dtype)}
    constants = {"weight": weight_CD.contiguous(), **bias}
    return program(
        "head",
        _nodes(head),
        constants if head.metric == "linear" else {**constants, **_unit_constants(dtype)},
        metadata,
        feature_size=head.feature_size,
        class_count=head.class_count,
        dtype=TensorProto.DOUBLE if dtype == torch.float64 else TensorProto.FLOAT,
    )


def _dtype(head: Head) -> torch.dtype:
    return torch.promote_types(head.weight.dtype, torch.float32)


def _unit_constants(dtype: torch.dtype) -> dict[str, Tensor]:
    return {"axis": torch.tensor([1]), "tiny": torch.tensor(TINY, dtype=dtype)}


def _nodes(head: Head) -> list[onnx.NodeProto]:
    """Score all classes; a cosine head looks at unit features."""
    before, features = (
        ([], "features")
        if head.metric == "linear"
        else (unit("features", "unit_features"), "unit_features")
    )
    inputs = [features, "weight", *([] if head.bias is None else ["bias"])]
    # The rows stand as the head has them, so that a reader finds their bytes again.
    return [*before, helper.make_node("Gemm", inputs, ["logits"], transB=1)]

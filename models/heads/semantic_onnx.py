"""Writes a semantic head as an ONNX program of its own; it does not know who runs it."""

import onnx
import torch
from onnx import helper
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.onnx import TINY, program, unit
from headgraft.models.heads.semantic import SemanticHead


def to_onnx(head: SemanticHead) -> bytes:
    """Return the program: `features` (N, D) float32 in, `logits` (N, C) float32 out.

    Class names and constants stand in its metadata.
    """
    return program(
        "semantic_head",
        [*_seen_logits(head), *_meaning(), *_comparison()],
        _constants(head),
        head.metadata(),
        feature_size=head.seen.feature_size,
        class_count=head.class_count,
    )


def _constants(head: SemanticHead) -> dict[str, Tensor]:
    seen = head.seen
    weight_SD = seen.weight.float()
    if seen.metric == "cosine":
        weight_SD = seen.scale * normalize(weight_SD)
    bias_S = torch.zeros(seen.class_count) if seen.bias is None else seen.bias.float()
    embeddings_CA = head.class_embeddings_CA.float()
    return {
        # Divided here, so that the program has a step less.
        "weight": (weight_SD.T / head.temperature).contiguous(),
        "bias": bias_S / head.temperature,
        "seen_embeddings": embeddings_CA[: seen.class_count].contiguous(),
        "class_embeddings": embeddings_CA.T.contiguous(),
        "offsets": head.offsets_C,
        "axis": torch.tensor([1]),
        "tiny": torch.tensor(TINY),
    }


def _seen_logits(head: SemanticHead) -> list[onnx.NodeProto]:
    """Score the seen classes; a cosine head looks at unit features."""
    if head.seen.metric == "linear":
        return [helper.make_node("Gemm", ["features", "weight", "bias"], ["seen_logits"])]
    return [
        *unit("features", "unit_features"),
        helper.make_node("Gemm", ["unit_features", "weight", "bias"], ["seen_logits"]),
    ]


def _meaning() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Softmax", ["seen_logits"], ["chance"], axis=1),
        helper.make_node("MatMul", ["chance", "seen_embeddings"], ["meaning"]),
        *unit("meaning", "unit_meaning"),
    ]


def _comparison() -> list[onnx.NodeProto]:
    return [
        helper.make_node("MatMul", ["unit_meaning", "class_embeddings"], ["cosines"]),
        helper.make_node("Add", ["cosines", "offsets"], ["logits"]),
    ]

"""Writes a semantic head as an ONNX program of its own; it does not know who runs it."""

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor
from torch.nn.functional import normalize

from models.semantic_head import SemanticHead

OPSET, IR_VERSION = 18, 10
TINY = 1e-12  # what torch's normalize divides by at least


def to_onnx(head: SemanticHead) -> bytes:
    """Return the program: `features` (N, D) float32 in, `logits` (N, C) float32 out.

    Class names and constants stand in its metadata.
    """
    graph = helper.make_graph(
        [*_seen_logits(head), *_meaning(), *_comparison()],
        "semantic_head",
        [
            helper.make_tensor_value_info(
                "features", TensorProto.FLOAT, ["N", head.seen.feature_size]
            )
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", head.class_count])],
        [
            numpy_helper.from_array(tensor.numpy(), name)
            for name, tensor in _constants(head).items()
        ],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="headgraft",
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, head.metadata())
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


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
        *_unit("features", "unit_features"),
        helper.make_node("Gemm", ["unit_features", "weight", "bias"], ["seen_logits"]),
    ]


def _meaning() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Softmax", ["seen_logits"], ["chance"], axis=1),
        helper.make_node("MatMul", ["chance", "seen_embeddings"], ["meaning"]),
        *_unit("meaning", "unit_meaning"),
    ]


def _comparison() -> list[onnx.NodeProto]:
    return [
        helper.make_node("MatMul", ["unit_meaning", "class_embeddings"], ["cosines"]),
        helper.make_node("Add", ["cosines", "offsets"], ["logits"]),
    ]


def _unit(source: str, target: str) -> list[onnx.NodeProto]:
    """Scale each row to unit length."""
    return [
        helper.make_node("ReduceL2", [source, "axis"], [f"{target}_length"], keepdims=1),
        helper.make_node("Max", [f"{target}_length", "tiny"], [f"{target}_divisor"]),
        helper.make_node("Div", [source, f"{target}_divisor"], [target]),
    ]

"""Writes heads of rows and semantic heads as ONNX programs, from features to logits."""

from collections.abc import Mapping, Sequence

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.models.heads.semantic import SemanticHead

OPSET, IR_VERSION = 18, 10
TINY = 1e-12  # what torch's normalize divides by at least
# A protobuf message, and so an ONNX file, ends at 2 GiB; a mebibyte is left for the graph.
TENSOR_BYTES_MAX = (1 << 31) - (1 << 20)


def program(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    *,
    feature_size: int,
    class_count: int,
    dtype: int = TensorProto.FLOAT,
    regions: int | None = None,
) -> bytes:
    """Return the checked file: `features` (N, D) in, `logits` (N, C) out, both of `dtype`.

    Of a head that looks at so many `regions`, features are (N, D, R).
    """
    shape = ["N", feature_size] if regions is None else ["N", feature_size, regions]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("features", dtype, shape)],
        [helper.make_tensor_value_info("logits", dtype, ["N", class_count])],
        [numpy_helper.from_array(tensor.numpy(), key) for key, tensor in constants.items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="headgraft",
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def unit(source: str, target: str) -> list[onnx.NodeProto]:
    """Scale each row to unit length; needs the constants `axis` and `tiny`."""
    return [
        helper.make_node("ReduceL2", [source, "axis"], [f"{target}_length"], keepdims=1),
        helper.make_node("Max", [f"{target}_length", "tiny"], [f"{target}_divisor"]),
        helper.make_node("Div", [source, f"{target}_divisor"], [target]),
    ]


def fits(head: Head) -> bool:
    """Tell whether the head is small enough for an ONNX file, which holds 2 GiB at most."""
    width = torch.finfo(_dtype(head)).bits // 8
    return head.class_count * (head.feature_size + 1) * width <= TENSOR_BYTES_MAX


def linear_to_onnx(head: Head, metadata: Mapping[str, str]) -> bytes:
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


def semantic_to_onnx(head: SemanticHead) -> bytes:
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

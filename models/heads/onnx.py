"""Puts an ONNX program together, from features to logits; it does not know which head it is."""

from collections.abc import Mapping, Sequence

import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

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

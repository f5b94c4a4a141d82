"""Exports an attribute head as a torch program and in ONNX."""

import io

import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from headgraft.models.heads.attribute import AttributeHead, class_blocks, class_scores
from headgraft.models.heads.onnx import TENSOR_BYTES_MAX, TINY, program, unit


class Program(nn.Module):
    """The head as a module: `features` (N, D, R) float32 in, logits (N, C) out."""

    def __init__(self, head: AttributeHead) -> None:
        super().__init__()
        self.alpha, self.class_count = head.alpha, head.class_count
        self.register_buffer("stacked_4AD", head.maps.stacked())
        self.register_buffer("blocks_GKA", class_blocks(head.class_attributes_CA))
        self.register_buffer("offsets_C", head.offsets_C)

    def forward(self, features: Tensor) -> Tensor:
        """Score region features (N, D, R): (N, C)."""
        tensors = dict(self.named_buffers())
        scores_NK = class_scores(
            features, tensors["stacked_4AD"], tensors["blocks_GKA"], self.alpha
        )
        return scores_NK[:, : self.class_count] + tensors["offsets_C"]


def to_exported(head: AttributeHead, regions: int) -> bytes:
    """Return the program as `torch.export.load` reads it, for any number of pictures."""
    example_NDR = torch.zeros(2, head.feature_size, regions)
    shapes = {"features": {0: torch.export.Dim("N")}}
    exported = torch.export.export(Program(head), (example_NDR,), dynamic_shapes=shapes)
    target = io.BytesIO()
    torch.export.save(exported, target)
    return target.getvalue()


def fits_onnx(head: AttributeHead) -> bool:
    """Tell whether an ONNX file can hold the head's tensors."""
    tensors = (head.maps.stacked(), class_blocks(head.class_attributes_CA))
    return sum(tensor.nbytes for tensor in tensors) <= TENSOR_BYTES_MAX


def to_onnx(head: AttributeHead, regions: int) -> bytes:
    """Return the program: `features` (N, D, R) float32 in, `logits` (N, C) float32 out.

    Class names and constants stand in its metadata.
    """
    blocks = len(class_blocks(head.class_attributes_CA))
    return program(
        "attribute_head",
        [*_nets(), *_classes(blocks)],
        _constants(head),
        head.metadata(),
        feature_size=head.feature_size,
        class_count=head.class_count,
        regions=regions,
    )


def _constants(head: AttributeHead) -> dict[str, Tensor]:
    blocks_GKA = class_blocks(head.class_attributes_CA)
    return {
        "maps": head.maps.stacked(),
        "share": torch.tensor(head.alpha),
        "rest": torch.tensor(1 - head.alpha),
        "offsets": head.offsets_C,
        "tiny": torch.tensor(TINY),
        "axis": torch.tensor([1]),
        "over_regions": torch.tensor([2]),
        "start": torch.tensor([0]),
        "class_count": torch.tensor([head.class_count]),
        **{f"classes_{number}": block.T.contiguous() for number, block in enumerate(blocks_GKA)},
    }


def _nets() -> list[onnx.NodeProto]:
    """Score attributes by both nets, and mix the scores."""
    parts = ["attend", "score", "attend_too", "score_too"]
    return [
        *unit("features", "unit_features"),
        helper.make_node("MatMul", ["maps", "unit_features"], ["meetings"]),
        helper.make_node("Split", ["meetings"], parts, axis=1, num_outputs=4),
        *_net("attend", "score", "by_regions", axis=2),
        *_net("attend_too", "score_too", "by_attributes", axis=1),
        helper.make_node("Mul", ["by_regions", "share"], ["one_part"]),
        helper.make_node("Mul", ["by_attributes", "rest"], ["other_part"]),
        helper.make_node("Add", ["one_part", "other_part"], ["attribute_scores"]),
    ]


def _net(attend: str, score: str, result: str, axis: int) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Softmax", [attend], [f"{attend}_share"], axis=axis),
        helper.make_node("Mul", [f"{attend}_share", score], [f"{score}_part"]),
        helper.make_node("ReduceSum", [f"{score}_part", "over_regions"], [result], keepdims=0),
    ]


def _classes(blocks: int) -> list[onnx.NodeProto]:
    """Score the classes block by block, and cut off what only fills the last one up."""
    names = [f"scores_{number}" for number in range(blocks)]
    return [
        *(
            helper.make_node("MatMul", ["attribute_scores", f"classes_{number}"], [name])
            for number, name in enumerate(names)
        ),
        helper.make_node("Concat", names, ["all_scores"], axis=1),
        helper.make_node("Slice", ["all_scores", "start", "class_count", "axis"], ["class_scores"]),
        helper.make_node("Add", ["class_scores", "offsets"], ["logits"]),
    ]

"""Writes an attribute head's files, and the report's part about them.

Such a head is no rows: it reads region features, and comes as files of its own.
"""

from pathlib import Path

from headgraft.models.features.regions import RegionFeatures
from headgraft.models.heads.attribute import AttributeHead
from headgraft.models.heads.attribute_export import fits_onnx, to_exported, to_onnx
from headgraft.models.heads.checkpoint import write_tensors
from headgraft.models.heads.head import Head
from headgraft.workers.jobs import spec as jobs
from headgraft.workers.jobs.report import AttributePart, WrittenPart
from headgraft.workers.report import attention, data
from headgraft.workers.run.linear_head import ONNX_FILE, write_labels
from headgraft.workers.run.semantic_head import NATIVE_FILE

EXPORTED_FILE = "head.pt2"
REASONS = (
    "the head reads features of regions and has no rows: it does not take the old head's place in "
    "the checkpoint, load it as safetensors (native) or run it as a program of torch.export (pt2) "
    "or ONNX",
    "no accuracy is estimated for a head of this kind; what it reached on seen classes and "
    "pictures that were held out stands under attribute.hold_out",
)


def write_files(head: AttributeHead, regions: int, folder: Path) -> None:
    """Write a head as safetensors, as programs for so many regions, and its labels."""
    write_tensors(folder / NATIVE_FILE, head.state_dict(), head.metadata())
    (folder / EXPORTED_FILE).write_bytes(to_exported(head, regions))
    if fits_onnx(head):
        (folder / ONNX_FILE).write_bytes(to_onnx(head, regions))
    write_labels(head.class_names, folder)


def write(
    spec: jobs.JobSpec, head: AttributeHead, regions: RegionFeatures, folder: Path
) -> WrittenPart:
    """Write its files into `folder`; return what the report says of a head without rows."""
    write_files(head, regions.grid[0] * regions.grid[1], folder)
    split, names = head.seen_count, head.class_names
    seen = Head(head.class_attributes_CA[:split], None, names[:split])
    unseen = Head(head.class_attributes_CA[split:], None, names[split:])
    written = data.describe(spec, "attribute", seen, unseen)
    written.reasons = list(REASONS)
    written.attribute = AttributePart(
        alpha=head.alpha,
        margin=head.margin,
        hold_out=dict(head.hold_out),
        feature_size=head.feature_size,
        grid=list(regions.grid),
    )
    written.attention = attention.look(head, regions, spec.attention_of)
    return written

"""Writes a semantic head's files, and the report's part about them.

Such a head is no rows: it cannot extend the checkpoint, so it comes as files of its own.
"""

from pathlib import Path

from headgraft.models.heads.checkpoint import write_tensors
from headgraft.models.heads.head import Head
from headgraft.models.heads.onnx import semantic_to_onnx
from headgraft.models.heads.semantic import SemanticHead
from headgraft.workers.jobs import spec as jobs
from headgraft.workers.jobs.report import SemanticPart, WrittenPart
from headgraft.workers.report import data
from headgraft.workers.run.linear_head import ONNX_FILE, write_labels

NATIVE_FILE = "head.native.safetensors"
REASONS = (
    "the head compares class embeddings and has no rows: it does not take the old head's place in "
    "the checkpoint, load it as safetensors (native) or run it as an ONNX program",
    "no accuracy is estimated for a head of this kind, and features of pictures are not used",
)


def write(spec: jobs.JobSpec, head: SemanticHead, source: Path, folder: Path) -> WrittenPart:
    """Write its files into `folder`; return what the report says of a head without rows."""
    native = folder / NATIVE_FILE
    write_tensors(native, head.state_dict(), head.metadata())
    (folder / ONNX_FILE).write_bytes(semantic_to_onnx(head))
    write_labels(head.class_names, folder)
    tensors = spec.head.located
    renamed = {tensors.weight: "weight", **({tensors.bias: "bias"} if tensors.bias else {})}
    split, names = head.seen.class_count, head.class_names
    seen = Head(head.class_embeddings_CA[:split], None, names[:split])
    unseen = Head(head.class_embeddings_CA[split:], None, names[split:])
    written = data.describe(spec, "semantic", seen, unseen)
    written.reasons = list(REASONS)
    written.semantic = SemanticPart.model_validate(head)
    written.seen_rows = data.proof(tensors, source, native, renamed)
    return written

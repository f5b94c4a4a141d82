"""Makes of an uploaded file what a run works on: a safetensors file whose head is known.

It knows nothing of methods, and leaves the reading of torch files to a process of its own.
"""

from pathlib import Path

from models.progress import Progress
from workers import convert
from workers.find_head import find_head
from workers.header import Header, HeaderError
from workers.jobs import JobSpec
from workers.safetensors_header import LENGTH_BYTES, header_length, parse_header

SAFETENSORS = ".safetensors"


def converted(
    spec: JobSpec, source: Path, *, limits: convert.Limits, progress: Progress
) -> tuple[JobSpec, Path, convert.Conversion]:
    """Convert a torch file and say in the job where its head is; the old file is gone then.

    InjectionError (`invalid_checkpoint`) for a file that cannot be converted or has no such head.
    """
    target = source.with_suffix(SAFETENSORS)
    conversion = convert.convert(source, target, limits=limits, progress=progress)
    source.unlink()
    try:
        tensors = find_head(
            _header_of(target),
            class_count=len(spec.head.class_names),
            weight=spec.head.weight,
            bias=spec.head.bias,
        )
    except HeaderError as error:
        raise convert.defect(str(error)) from error
    head = spec.head.model_copy(update={"tensors": tensors})
    return spec.model_copy(update={"head": head}), target, conversion


def _header_of(path: Path) -> Header:
    """Read a header as warily as an upload's: the process that wrote it may have been anybody's."""
    with path.open("rb") as file:
        length = header_length(file.read(LENGTH_BYTES))
        found = parse_header(file.read(length))
    promised = LENGTH_BYTES + length + found.data_bytes
    if path.stat().st_size != promised:
        raise HeaderError(f"the converted file has not the {promised} bytes of its header")
    return found

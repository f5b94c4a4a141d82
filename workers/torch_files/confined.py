"""The process that reads an untrusted torch file and writes its tensors as a safetensors file.

It may be killed at any time, and nothing it says is trusted.
`python -m headgraft.workers.torch_files.confined SOURCE TARGET MEMORY_BYTES SECONDS PARENT_PID`
"""

import errno
import math
import os
import re
import resource
import sys
import time
from pathlib import Path
from pickle import UnpicklingError

import torch

from headgraft.models.errors import InjectionError
from headgraft.models.heads import checkpoint
from headgraft.workers.formats.safetensors import HEADER_BYTES_MAX
from headgraft.workers.jobs.named_classes import metadata_of_names
from headgraft.workers.processes import die_with_parent
from headgraft.workers.torch_files import state_dict
from headgraft.workers.torch_files.convert import READY, Conversion, Verdict

STATM = Path("/proc/self/statm")
OOM_SCORE = Path("/proc/self/oom_score_adj")
ZIP_START = b"PK\x03\x04"
GRACE_SECONDS = 5
REASON_MAX = 300
FORBIDDEN = re.compile(r"GLOBAL (\S+)")
FILE_CAUSED = (errno.ENOMEM, errno.EFBIG)
OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "bad_alloc", "Cannot allocate")


def confine(memory_bytes: int, seconds: float) -> None:
    """Limit what this process may still take: memory, processor time, the size of a file.

    Where the kernel does not tell a process its size, memory is not limited.
    """
    torch.set_num_threads(1)
    if STATM.exists():
        used = int(STATM.read_text().split()[0]) * resource.getpagesize()
        _limit(resource.RLIMIT_AS, used + memory_bytes)
    if OOM_SCORE.exists():
        # If the machine itself runs short, this process goes, not the warm worker.
        OOM_SCORE.write_text("1000")
    _limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + seconds) + GRACE_SECONDS)
    _limit(resource.RLIMIT_FSIZE, memory_bytes + HEADER_BYTES_MAX)
    _limit(resource.RLIMIT_CORE, 0)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def convert(source: Path, target: Path, memory_bytes: int) -> Verdict:
    """Read and write; whatever the file makes go wrong becomes the verdict."""
    try:
        loaded = _load(source)
        found = state_dict.pick(loaded)
        named = metadata_of_names(loaded)
        checkpoint.write_tensors(
            target, found.tensors, {"format": "pt", **named}, bytes_max=memory_bytes
        )
        return Verdict(conversion=Conversion.of(found.key, map(_plain, found.dropped)))
    except InjectionError as error:
        return Verdict(defect=_plain(str(error)))
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in FILE_CAUSED:
            raise  # the disk's fault, not the file's
        reason = _plain(_reason(error, memory_bytes))
        return Verdict(defect=f"the torch file cannot be read as tensors alone: {reason}")


def _load(source: Path) -> object:
    with source.open("rb") as file:
        if file.read(len(ZIP_START)) != ZIP_START:
            # torch.load would go on and read it as a pickle of the old kind, or as a tar.
            raise ValueError("it is not the zip file that torch.save writes")
    try:
        return torch.load(source, map_location="cpu", weights_only=True)
    except OSError as error:
        # A damaged index sends torch to places that are not in the file.
        raise ValueError(str(error)) from error


def _reason(error: Exception, memory_bytes: int) -> str:
    """Say in one sentence what torch says in ten, less its advice to read the file unsafely."""
    # torch hides the unpickler's own words as the context of an error that holds the advice.
    hidden = error.__context__ if isinstance(error, UnpicklingError) else None
    text = str(hidden or error)
    if isinstance(error, MemoryError) or any(sign in text for sign in OUT_OF_MEMORY):
        return f"it takes more than {memory_bytes} bytes of memory, the limit for one of its size"
    forbidden = FORBIDDEN.search(text)
    if forbidden:
        return f"it holds {forbidden[1]!r:.100}, which is no tensor; {state_dict.WAY_OUT}"
    if "TorchScript" in text:
        return f"it is a TorchScript archive; {state_dict.WAY_OUT}"
    first = text.strip().partition("\n")[0]
    return f"{type(error).__name__}: {first:.{REASON_MAX}}"


def _plain(text: str) -> str:
    """Replace what a pickle may hold in a text and JSON may not."""
    return text.encode("utf-8", "replace").decode()


def main(arguments: list[str]) -> int:
    """Convert one file within limits; the verdict goes to standard output, behind READY."""
    source, target = Path(arguments[0]), Path(arguments[1])
    memory_bytes, seconds = int(arguments[2]), float(arguments[3])
    die_with_parent(int(arguments[4]))
    confine(memory_bytes, seconds)
    os.write(1, READY)
    os.write(1, convert(source, target, memory_bytes).model_dump_json().encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

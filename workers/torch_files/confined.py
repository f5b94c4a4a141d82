"""The process that reads an untrusted torch file and writes its tensors as a safetensors file.

It may be killed at any time, and nothing it says is trusted.
`python -m headgraft.workers.torch_files.confined SOURCE TARGET MEMORY_BYTES SECONDS KEY PARENT`,
KEY as JSON, PARENT the number of the process that waits for it.
"""

import errno
import json
import math
import os
import resource
import sys
import tarfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch

from headgraft.models.errors import InjectionError
from headgraft.models.heads import checkpoint
from headgraft.workers.formats.header import LEGACY_START, ZIP_START
from headgraft.workers.formats.safetensors import HEADER_BYTES_MAX
from headgraft.workers.jobs.named_classes import metadata_of_names
from headgraft.workers.processes import die_with_parent
from headgraft.workers.torch_files import state_dict, unpickler
from headgraft.workers.torch_files.convert import READY, Conversion, Verdict

STATM = Path("/proc/self/statm")
OOM_SCORE = Path("/proc/self/oom_score_adj")
GRACE_SECONDS = 5
REASON_MAX = 300
# What in a zip file tells that another program wrote it, and what that is.
FOREIGN = {
    "constants.pkl": "a TorchScript archive",
    "serialized_exported_program.json": "a program of torch.export",
    "models/model.json": "a program of torch.export",
    "archive_format": "a program of torch.export",
    "model.weights.h5": "a Keras archive",
    "metadata.json": "a Keras archive",
}
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


def convert(source: Path, target: Path, memory_bytes: int, key: str | None = None) -> Verdict:
    """Read and write; whatever the file makes go wrong becomes the verdict."""
    try:
        loaded = _load(source)
        found = state_dict.pick(loaded, key)
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
        start = file.read(len(LEGACY_START))
    if start.startswith(ZIP_START):
        _refuse_foreign(source)
    elif start != LEGACY_START or tarfile.is_tarfile(source):
        raise state_dict.unfit("the checkpoint is not what torch.save writes")
    try:
        return torch.load(
            source,
            map_location="cpu",
            pickle_module=unpickler.PICKLE,
            weights_only=False,
            encoding="latin1",  # as Python 2 wrote texts
        )
    except OSError as error:
        # A damaged index sends torch to places that are not in the file.
        raise ValueError(str(error)) from error


def _refuse_foreign(source: Path) -> None:
    """Raise for a zip file that torch.load would not read as a pickle, or not at all."""
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        entries = []
    _check_entries(entries)
    # torch.load looks for this one, whatever another reader of zip files sees.
    _check_entries(torch._C.PyTorchFileReader(str(source)).get_all_records())


def _check_entries(names: Sequence[str]) -> None:
    for name in names:
        for sign, kind in FOREIGN.items():
            if name == sign or name.endswith(f"/{sign}"):
                raise state_dict.unfit(f"the checkpoint is {kind}; {state_dict.WAY_OUT}")
    if any(name.endswith(".npy") for name in names):
        way_out = "save its arrays as safetensors"
        raise state_dict.unfit(f"the checkpoint is a NumPy archive (npz): {way_out}")


def _reason(error: Exception, memory_bytes: int) -> str:
    """Say in one sentence what torch says in ten."""
    text = str(error)
    if isinstance(error, MemoryError) or any(sign in text for sign in OUT_OF_MEMORY):
        return f"it takes more than {memory_bytes} bytes of memory, the limit for one of its size"
    first = text.strip().partition("\n")[0]
    return f"{type(error).__name__}: {first:.{REASON_MAX}}"


def _plain(text: str) -> str:
    """Replace what a pickle may hold in a text and JSON may not."""
    return text.encode("utf-8", "replace").decode()


def main(arguments: list[str]) -> int:
    """Convert one file within limits; the verdict goes to standard output, behind READY."""
    source, target = Path(arguments[0]), Path(arguments[1])
    memory_bytes, seconds = int(arguments[2]), float(arguments[3])
    key = json.loads(arguments[4])
    die_with_parent(int(arguments[5]))
    confine(memory_bytes, seconds)
    os.write(1, READY)
    os.write(1, convert(source, target, memory_bytes, key).model_dump_json().encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""Converts a torch file to safetensors in a process of its own, and judges how that ended.

It never reads the torch file itself, and does not import torch.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import BaseModel, Field, ValidationError

from headgraft.models.errors import InjectionError
from headgraft.models.progress import Progress
from headgraft.workers.formats.find_head import find_head
from headgraft.workers.formats.header import Header, HeaderError
from headgraft.workers.formats.safetensors import read_header
from headgraft.workers.jobs.named_classes import classes_of_file
from headgraft.workers.jobs.spec import JobSpec

SAFETENSORS = ".safetensors"
READY = b"ready\n"
# Measured above what the imports take: the file's size, that of its largest tensor, and 35 MiB,
# so at most 2 x + 35 MiB. The rest is room for tied tensors and for very many small ones.
SIZE_FACTOR = 3
SPARE_BYTES = 1 << 30
POLL_SECONDS = 0.1
START_SECONDS = 300.0
VERDICT_BYTES_MAX = 1 << 18
ERROR_BYTES_SHOWN = 4000
NAMES_MAX, NAME_LENGTH_MAX = 100, 200
# Nothing else of the environment reaches it: there are passwords in there.
KEPT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "HOME", "LANG", "VIRTUAL_ENV")
SET = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore"}


class Conversion(BaseModel):
    """What a conversion took: the key its state dict lay under, and what it left out."""

    state_dict: str | None = Field(max_length=NAME_LENGTH_MAX)
    dropped: list[str] = Field(max_length=NAMES_MAX)
    dropped_count: int

    @classmethod
    def of(cls, key: str | None, dropped: Iterable[str]) -> "Conversion":
        """Cut the names to what a report can show."""
        names = [name[:NAME_LENGTH_MAX] for name in dropped]
        return cls(state_dict=key, dropped=names[:NAMES_MAX], dropped_count=len(names))


class Verdict(BaseModel):
    """What the process says at its end: one of a conversion and a defect of the file."""

    conversion: Conversion | None = None
    defect: str | None = Field(default=None, max_length=10_000)


@dataclass(frozen=True)
class ConversionLimits:
    """What one conversion may take; the seconds are counted from when the process is up."""

    memory_bytes: int
    seconds: float

    def allowance(self, file_bytes: int) -> int:
        """Return the memory for a file of this size, above what the bare process takes."""
        return min(self.memory_bytes, SIZE_FACTOR * file_bytes + SPARE_BYTES)


def convert(
    source: Path,
    target: Path,
    *,
    key: str | None = None,
    limits: ConversionLimits,
    progress: Progress,
) -> Conversion:
    """Write the tensors of a torch file, of its state dict under `key`, to a safetensors file.

    InjectionError (`invalid_checkpoint`) for whatever is wrong with the file, beyond a limit
    included; Stopped, within a second, when told to stop. The process does not outlive the call.
    """
    memory_bytes = limits.allowance(source.stat().st_size)
    arguments = [str(source), str(target), str(memory_bytes), str(limits.seconds)]
    arguments.append(json.dumps(key))
    with tempfile.TemporaryFile() as errors, _process(arguments, errors) as process:
        said = _listen(process, limits.seconds, progress)
        verdict = _verdict(said, process.wait(), errors)
    if verdict.conversion is None:
        raise defect(verdict.defect or "the torch file cannot be read")
    return verdict.conversion


def defect(message: str) -> InjectionError:
    """Return what a job fails with when its checkpoint is at fault."""
    return InjectionError(message, code="invalid_checkpoint", pointer="/checkpoint")


@contextmanager
def _process(arguments: list[str], errors: IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the process; at the block's end kill it, and whatever it may have started."""
    # No preexec_fn, since we have threads: the child asks by itself to be killed with this one.
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "headgraft.workers.torch_files.confined",
            *arguments,
            str(os.getpid()),
        ],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT or name.startswith("PYTHON")
    }
    return {**kept, **SET}


def _listen(process: "subprocess.Popen[bytes]", seconds: float, progress: Progress) -> bytes:
    """Return what the process says until it ends; its time runs from when it is READY."""
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    os.set_blocking(pipe, False)
    said, deadline = b"", time.monotonic() + START_SECONDS
    while process.poll() is None:
        progress.check()
        is_up = said.startswith(READY)
        said += _received(pipe, VERDICT_BYTES_MAX - len(said))
        if said.startswith(READY) and not is_up:
            deadline = time.monotonic() + seconds
        if time.monotonic() > deadline:
            raise _late(seconds) if is_up else RuntimeError("the converting process did not start")
        time.sleep(POLL_SECONDS)
    return said + _received(pipe, VERDICT_BYTES_MAX - len(said))


def _received(pipe: int, limit: int) -> bytes:
    received = b""
    with suppress(BlockingIOError):
        while chunk := os.read(pipe, limit - len(received)):
            received += chunk
    return received


def _late(seconds: float) -> InjectionError:
    return defect(f"the torch file was refused: reading it takes longer than {seconds:g} s")


def _verdict(said: bytes, code: int, errors: IO[bytes]) -> Verdict:
    """Judge an ended process: a signal is the file's doing, an exit without a word is ours."""
    is_up = said.startswith(READY)
    if is_up:
        with suppress(ValidationError):
            return Verdict.model_validate_json(said.removeprefix(READY))
    if code >= 0 or not is_up:
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - ERROR_BYTES_SHOWN))
        text = errors.read().decode(errors="replace")
        raise RuntimeError(f"the converting process ended with {code}: {text}")
    name = signal.Signals(-code).name
    return Verdict(
        defect=f"the torch file was refused: the process that read it ended by {name}; the file "
        "is damaged, or made to use up memory or time"
    )


def converted(
    spec: JobSpec, source: Path, *, limits: ConversionLimits, progress: Progress
) -> tuple[JobSpec, Path, Conversion]:
    """Convert a torch file and say in the job where its head is; the old file is gone then.

    InjectionError (`invalid_checkpoint`) for a file that cannot be converted or has no such head.
    """
    target = source.with_suffix(SAFETENSORS)
    conversion = convert(source, target, key=spec.head.key, limits=limits, progress=progress)
    source.unlink()
    try:
        header = _header_of(target)
        entries = spec.head.class_names or classes_of_file(header.metadata, spec)
        tensors = find_head(
            header,
            class_count=len(entries),
            weight=spec.head.weight,
            bias=spec.head.bias,
            allow_ungrown=spec.head.allow_ungrown,
        )
    except HeaderError as error:
        raise defect(str(error)) from error
    head = spec.head.model_copy(update={"tensors": tensors, "class_names": entries})
    return spec.model_copy(update={"head": head}), target, conversion


def _header_of(path: Path) -> Header:
    """Validate the header like an upload's; the process that wrote it handled untrusted data."""
    with path.open("rb") as file:
        header, data_start = read_header(file)
    promised = data_start + header.data_bytes
    if path.stat().st_size != promised:
        raise HeaderError(f"the converted file has not the {promised} bytes of its header")
    return header

"""Writes torch files for tests: sound ones, and ones that are made to harm who reads them."""

import io
import zipfile
from pathlib import Path

import psutil
import torch

from tests import checkpoints
from tests.processes import command_line

PROTOCOL = b"\x80\x02"
STOP = b"."
# Doubled this often, a tuple's hash takes longer than anybody waits.
ENDLESS = 100


def write(path: Path, content: object = None, *, is_zip: bool = True) -> Path:
    """Write what torch.save writes; by default the state dict of `tests.checkpoints`."""
    content = checkpoints.tensors() if content is None else content
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    return path


def write_program(path: Path, program: bytes, *, compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a torch file whose pickle is the program given."""
    sound = io.BytesIO()
    torch.save({"fc.weight": torch.ones(2, 2)}, sound)
    with zipfile.ZipFile(sound) as old, zipfile.ZipFile(path, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, program if name.endswith("data.pkl") else old.read(name))
    return path


def endless(path: Path, doublings: int = ENDLESS) -> Path:
    """Write a file of some hundred bytes with a key of a storage that takes 2^doublings steps."""
    program = bytearray(PROTOCOL + b")q\x00")  # () is number 0
    for number in range(doublings):
        # Push the latest tuple twice, make a pair of it, call it number + 1.
        program += bytes([*b"h", number, *b"h", number, *b"\x86q", number + 1])
    # ("storage", torch.FloatStorage, latest, "cpu", 1), which torch looks up among the storages.
    program += b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n" + bytes([*b"h", doublings])
    program += b"X\x03\x00\x00\x00cpuK\x01tQ"
    return write_program(path, bytes(program) + STOP)


def forbidden(path: Path) -> Path:
    """Write a file that would run a command if it were read as any pickle is."""
    call = b"cposix\nsystem\n(X\x04\x00\x00\x00truetR"
    return write_program(path, PROTOCOL + call + STOP)


def bomb(path: Path, size: int) -> Path:
    """Write a small file with one entry that unpacks to `size` zeros."""
    zeros = b"\x00" * (size - 8)
    return write_program(
        path,
        PROTOCOL + b"X" + len(zeros).to_bytes(4, "little") + zeros + STOP,
        compression=zipfile.ZIP_DEFLATED,
    )


def expanded(path: Path) -> Path:
    """Write a small file with a tensor of 2^40 numbers that are all the same one."""
    return write(path, {"fc.weight": torch.ones(1, 1).expand(1 << 20, 1 << 20)})


def readers(ancestor: psutil.Process) -> list[psutil.Process]:
    """Return the living processes below one that read a torch file."""
    return [one for one in ancestor.children(recursive=True) if reads(one)]


def reads(process: psutil.Process) -> bool:
    """Tell whether a process lives and reads a torch file."""
    return "headgraft.workers.torch_files.confined" in command_line(process)

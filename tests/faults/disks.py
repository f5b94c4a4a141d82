"""Folders with an end: a small file system of our own, and where none can be mounted, a limit.

They know nothing of what is written there.
"""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

MIB = 1024**2
DISK_BYTES = 64 * MIB
MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$0" && echo mounted && exec sleep 3600'


@dataclass
class SmallDisk:
    """A tmpfs of 64 MiB, at `folder` for processes behind `prefix`, at `seen` for the test."""

    folder: Path
    holder: int
    reason: str = "No space left on device"

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("nsenter", "-t", str(self.holder), "-U", "-m", "--preserve-credentials", "--")

    @property
    def seen(self) -> Path:
        return Path(f"/proc/{self.holder}/root{self.folder}")

    def fill(self, room: int, processes: list[int]) -> None:
        """Leave room for so many bytes, to these processes or to any."""
        state = os.statvfs(self.seen)
        # A file of zeros that nobody wrote would take no room.
        with (self.seen / "filler").open("wb") as file:
            for _ in range((state.f_bavail * state.f_frsize - room) // MIB):
                file.write(bytes(MIB))

    def empty(self, processes: list[int]) -> None:
        """Give the room back."""
        (self.seen / "filler").unlink()


@dataclass
class SmallFiles:
    """A folder where processes find every disk full once a file would grow beyond the room."""

    folder: Path
    prefix: tuple[str, ...] = field(default=(), init=False)
    reason: str = field(default="File too large", init=False)

    @property
    def seen(self) -> Path:
        return self.folder

    def fill(self, room: int, processes: list[int]) -> None:
        """Leave each file room for so many bytes."""
        self._limit(room, processes)

    def empty(self, processes: list[int]) -> None:
        """Give the room back."""
        self._limit(resource.RLIM_INFINITY, processes)

    def _limit(self, size: int, processes: list[int]) -> None:
        for process in processes:
            _, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
            resource.prlimit(process, resource.RLIMIT_FSIZE, (size, hard))


Disk = SmallDisk | SmallFiles


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk | None]:
    """Mount a small file system on an empty folder; None where this machine does not let us."""
    if not shutil.which("unshare") or not shutil.which("nsenter"):
        yield None
        return
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT]
    holder = subprocess.Popen(
        [*command, str(folder), str(DISK_BYTES)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert holder.stdout is not None
    try:
        mounted = holder.stdout.readline() == b"mounted\n"
        yield SmallDisk(folder, holder.pid) if mounted else None
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def family(process: subprocess.Popen[bytes]) -> list[int]:
    """Return a process and all below it."""
    below = psutil.Process(process.pid).children(recursive=True)
    return [process.pid, *(child.pid for child in below)]

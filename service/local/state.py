"""The state folder of `headgraft up`: where its files lie, and the lock on it."""

import fcntl
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

LOCK_PATIENCE_SECONDS = 0.5


class StateError(Exception):
    """The state folder cannot be used; the text names the folder and the process in the way."""


@dataclass(frozen=True)
class StateFolder:
    """A folder with everything that outlives a process."""

    path: Path

    @property
    def artifacts(self) -> Path:
        return self.path / "artifacts"

    @property
    def redis(self) -> Path:
        return self.path / "redis"

    @property
    def encoders(self) -> Path:
        return self.path / "encoders"

    @property
    def cache(self) -> Path:
        return self.path / "cache"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def lock_file(self) -> Path:
        return self.path / "lock"

    @property
    def store_url(self) -> str:
        """The default artifact store."""
        return f"file://{quote(str(self.artifacts))}"

    def lock(self) -> "StateLock":
        """Take the folder for this process; StateError names the process that has it."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock_fd = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StateError(
                f"cannot use the state folder {self.path}: {error.strerror}; choose another "
                "with --state or HEADGRAFT_STATE"
            ) from error
        # Whoever only asks whether the folder is held holds it for an instant.
        deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
        while not _flock(lock_fd, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                os.close(lock_fd)
                raise StateError(self._refusal())
            time.sleep(0.02)
        return StateLock(self, lock_fd)

    def _refusal(self) -> str:
        for role, pid in read_holders(self.lock_file).items():
            if _is_alive(pid):
                return (
                    f"the state folder {self.path} is in use by process {pid} ({role}): stop it "
                    f"with `kill {pid}`, or choose another folder with --state"
                )
        return f"the state folder {self.path} is in use by a process that left no pid in `lock`"

    def running(self, name: str = "url") -> str | None:
        """Return what the `up` that holds this folder published under a name, None if none does."""
        try:
            lock_fd = os.open(self.lock_file, os.O_RDWR)
        except OSError:
            return None
        try:
            is_free = _flock(lock_fd, fcntl.LOCK_SH)
            return None if is_free else (self.path / name).read_text().strip()
        except FileNotFoundError:
            return None
        finally:
            os.close(lock_fd)


@dataclass
class StateLock:
    """A state folder held; whoever inherits `fd` keeps holding it."""

    folder: StateFolder
    fd: int
    names = ("url", "redis-url", "store-url")

    def __post_init__(self) -> None:
        self._forget()
        os.ftruncate(self.fd, 0)
        self.note_holder("headgraft up", os.getpid())

    def note_holder(self, role: str, pid: int) -> None:
        """Write down a process that holds the folder, for whom the next one is refused."""
        os.lseek(self.fd, 0, os.SEEK_END)
        os.write(self.fd, f"{pid} {role}\n".encode())

    def publish(self, name: str, value: str) -> None:
        """Tell other processes of this user a URL, as long as the folder is held."""
        assert name in self.names
        part = self.folder.path / f"{name}.part"
        part.touch(mode=0o600)
        part.write_text(f"{value}\n")
        part.replace(self.folder.path / name)

    def release(self) -> None:
        """Give the folder back."""
        self._forget()
        os.close(self.fd)

    def _forget(self) -> None:
        for name in self.names:
            (self.folder.path / name).unlink(missing_ok=True)


def locate(environment: Mapping[str, str]) -> StateFolder:
    """Return the first of $HEADGRAFT_STATE, $XDG_STATE_HOME/headgraft, ~/.local/state/headgraft."""
    if named := environment.get("HEADGRAFT_STATE"):
        return StateFolder(Path(named).expanduser().absolute())
    home = environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return StateFolder(Path(home).absolute() / "headgraft")


def read_holders(lock_file: Path) -> dict[str, int]:
    """Return who wrote themselves into a lock file: role -> pid, the newest pid of each role."""
    lines = (line.split(" ", 1) for line in lock_file.read_text().splitlines())
    return {role: int(pid) for pid, role in lines}


def _flock(lock_fd: int, kind: int) -> bool:
    try:
        fcntl.flock(lock_fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

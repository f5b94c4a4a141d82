"""Processes that `headgraft up` keeps running."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from headgraft.service.local.redis_server import ServerError
from headgraft.workers.processes import end_with_parent

BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
STEADY_SECONDS = 60.0
LOG_LINES_SHOWN = 8


class Restartable(Protocol):
    """What can be kept running."""

    log: Path

    def poll(self) -> int | None:
        """Return the exit code once ended, None before."""

    def restart(self) -> None:
        """Start it (again)."""


class LocalChild:
    """One of our modules as a child process in a session of its own, logging to a file."""

    def __init__(self, module: str, environment: Mapping[str, str], log: Path) -> None:
        self._command = [sys.executable, "-m", module]
        # A file of the folder we run in, such as a user's redis.py, must not hide a package.
        self._environment = {**environment, "PYTHONSAFEPATH": "1"}
        self.log = log
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        self._process: subprocess.Popen[bytes] | None = None

    def poll(self) -> int | None:
        """Return the exit code once ended, None before."""
        return self._process.poll() if self._process else None

    def restart(self) -> None:
        """Start the process; it gets SIGKILL when this one dies."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # SIGTERM would let a worker drain for a minute, orphaned and without Redis.
                preexec_fn=end_with_parent(signal.SIGKILL),
            )

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def stop(self, patience_seconds: float) -> None:
        """Ask the process to end; kill it when it has not after that time."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process at once."""
        if self._process:
            self._process.kill()
            self._process.wait()


@dataclass
class Kept:
    """Something that runs, and is started again, after a pause, whenever it ends."""

    name: str
    part: Restartable
    say: Callable[[str], None]
    on_restart: Callable[[], None] = lambda: None
    started: float = field(default_factory=time.monotonic)
    start_at: float | None = None
    ended_early: int = 0

    def tend(self) -> None:
        """Notice the end of the part, and start it again once its pause is over."""
        if self.start_at is not None:
            if time.monotonic() >= self.start_at:
                self._start()
        elif (code := self.part.poll()) is not None:
            self._pause(f"ended with code {code}")

    def _start(self) -> None:
        self.start_at, self.started = None, time.monotonic()
        try:
            self.part.restart()
            self.on_restart()
        except (ServerError, OSError) as error:
            self._pause(f"did not start: {error}")

    def _pause(self, reason: str) -> None:
        steady = time.monotonic() - self.started > STEADY_SECONDS
        self.ended_early = 0 if steady else self.ended_early + 1
        pause = BACKOFF_SECONDS[min(max(self.ended_early, 1), len(BACKOFF_SECONDS)) - 1]
        self.start_at = time.monotonic() + pause
        self.say(f"the {self.name} {reason} (see {self.part.log}); again in {pause:g} s")


def last_lines(log: Path) -> str:
    """Return the end of a log under a heading that names the file."""
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    return "\n  ".join([f"the end of {log}:", *lines])

"""Child processes that end with their parent, and are started again when they end."""

import ctypes
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
STEADY_SECONDS = 60.0
LOG_LINES_SHOWN = 8


class StartError(Exception):
    """A process did not start; the text says why."""


class Restartable(Protocol):
    """What a supervisor keeps running."""

    def poll(self) -> int | None:
        """Return the exit code once ended, None before."""

    def restart(self) -> None:
        """Start it (again); StartError or OSError where that fails."""


@dataclass
class Supervisor:
    """Starts a part again whenever it ends, after a pause that grows while it ends early.

    `note` gets the reason and the pause in seconds. A `start_at` of 0 starts it the first time.
    """

    part: Restartable
    note: Callable[[str, float], None]
    pause_min_seconds: float = 0.0
    start_at: float | None = None
    started: float = field(default_factory=time.monotonic)
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
        except (StartError, OSError) as error:
            self._pause(f"did not start: {error}")

    def _pause(self, reason: str) -> None:
        steady = time.monotonic() - self.started > STEADY_SECONDS
        self.ended_early = 0 if steady else self.ended_early + 1
        pause = self.pause_min_seconds
        if not steady:
            pause = BACKOFF_SECONDS[min(self.ended_early, len(BACKOFF_SECONDS)) - 1]
        self.start_at = time.monotonic() + pause
        self.note(reason, pause)


def start_module(
    module: str,
    *arguments: str,
    environment: Mapping[str, str],
    log: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start one of our modules in a session of its own; it gets SIGKILL when this one dies."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=environment,
        stdin=log and subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        # SIGTERM would let a worker drain for a minute, orphaned and without Redis.
        preexec_fn=end_with_parent(signal.SIGKILL),
    )


def stop(process: subprocess.Popen[bytes], patience_seconds: float) -> None:
    """Ask a process to end; kill it when it has not after that time."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(patience_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_lines(log: Path) -> str:
    """Return the end of a log under a heading that names the file."""
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    return "\n  ".join([f"the end of {log}:", *lines])


def end_with_parent(order: signal.Signals) -> Callable[[], None]:
    """Return a preexec_fn by which the kernel sends `order` to a child when this process dies.

    Linux only, elsewhere it does nothing. The kernel means the thread that starts the child, so
    only the main thread may: any other could end long before the process.
    """
    assert threading.current_thread() is threading.main_thread(), (
        "start children in the main thread"
    )
    return functools.partial(die_with_parent, os.getpid(), order)


def die_with_parent(parent: int, order: signal.Signals = signal.SIGKILL) -> None:
    """Have this process sent `order` when the thread of `parent` that started it ends."""
    if _LIBC is None:
        return
    _LIBC.prctl(PR_SET_PDEATHSIG, order)
    # The parent may have died between fork and prctl; then no signal would ever come.
    if os.getppid() != parent:
        os._exit(1)

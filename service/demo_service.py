"""The service the demo talks to, for as long as the demo lasts; it knows nothing of heads."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from service.redis_server import end_with_parent
from service.state import StateFolder

READY_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05
# The worker's jobs are the demo's own: when it stops, nobody waits for them.
OWN_SETTINGS = {"HEADGRAFT_GRACE_SECONDS": "1"}


class DemoError(Exception):
    """A stage of the demo failed; the text says which, and why."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for what nobody needs afterwards."""
    with TemporaryDirectory(prefix="headgraft-", ignore_cleanup_errors=True) as scratch:
        yield Path(scratch)


@contextmanager
def running_service(folder: Path) -> Iterator[str]:
    """Run `headgraft up` on a free port, with everything it keeps in `folder`; yields its URL.

    Ends it on the way out, whatever happened. DemoError shows the last lines it said.
    """
    state, log = StateFolder(folder / "state"), folder / "up.log"
    process = _start(state, log)
    try:
        yield _wait_for_url(process, state, log)
    finally:
        _stop(process)


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that what was started is stopped."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _start(state: StateFolder, log: Path) -> subprocess.Popen[bytes]:
    # A service that the user configured is left alone.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("HEADGRAFT_")}
    command = "import sys; from service.cli import main; sys.exit(main())"
    with log.open("wb") as written:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", command, "up", "--port", "0", "--state", str(state.path)],
            env={**inherited, **OWN_SETTINGS},
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            # Ctrl-C of the terminal must reach it through _stop alone: twice would be a kill.
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGTERM),
        )


def _wait_for_url(process: subprocess.Popen[bytes], state: StateFolder, log: Path) -> str:
    deadline = time.monotonic() + READY_SECONDS
    while (url := state.running()) is None:
        if process.poll() is not None:
            raise DemoError(f"the service ended as it started: {_last_words(log)}")
        if time.monotonic() > deadline:
            raise DemoError(f"the service was not up in {READY_SECONDS:g} s: {_last_words(log)}")
        time.sleep(POLL_SECONDS)
    return url


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return "\n".join(line for line in lines if line)[-1000:] or "it said nothing"

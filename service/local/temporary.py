"""Runs a service of its own in a temporary folder for as long as a block lasts."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from headgraft.service.local.state import StateFolder
from headgraft.service.local.up import READY_SECONDS, UpError
from headgraft.workers.processes import end_with_parent, last_lines, stop

STOP_SECONDS = 30.0
POLL_SECONDS = 0.05
# What says where a service is, and whose: the temporary one is elsewhere, and nobody's.
NOT_INHERITED = frozenset(
    f"HEADGRAFT_{name}"
    for name in ("REDIS_URL", "STORE_URL", "API_KEYS", "HOST", "PORT", "STATE", "METRICS_PORT")
)


@contextmanager
def temporary_service(home: StateFolder, environment: Mapping[str, str]) -> Iterator[str]:
    """Run `headgraft up` on a free port in a temporary folder and yield its URL.

    Encoders and cached text features are those of `home`, unless the environment names others.
    Nothing that it started is left; UpError shows the last lines it said.
    """
    with (
        _ending_on_sigterm(),
        TemporaryDirectory(prefix="headgraft-", ignore_cleanup_errors=True) as scratch,
    ):
        state, log = StateFolder(Path(scratch) / "state"), Path(scratch) / "up.log"
        process = _start(state, log, _environment(home, environment))
        try:
            yield _wait_for_url(process, state, log)
        finally:
            stop(process, STOP_SECONDS)


def _environment(home: StateFolder, given: Mapping[str, str]) -> dict[str, str]:
    defaults = {"HEADGRAFT_CACHE": str(home.cache), "HEADGRAFT_GRACE_SECONDS": "1"}
    if home.encoders.is_dir():
        defaults["HEADGRAFT_ENCODERS"] = str(home.encoders)
    return {**defaults, **{k: v for k, v in given.items() if k not in NOT_INHERITED}}


def _start(state: StateFolder, log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    options = ["up", "--port", "0", "--state", str(state.path)]
    with log.open("wb") as written:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "headgraft", *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            # Ctrl-C of the terminal must reach it through stop() alone: twice would be a kill.
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGTERM),
        )


def _wait_for_url(process: subprocess.Popen[bytes], state: StateFolder, log: Path) -> str:
    deadline = time.monotonic() + READY_SECONDS
    while (url := state.running()) is None:
        if process.poll() is not None:
            raise UpError(f"the service ended as it started; {last_lines(log)}")
        if time.monotonic() > deadline:
            raise UpError(f"no service after {READY_SECONDS:g} s; {last_lines(log)}")
        time.sleep(POLL_SECONDS)
    return url


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that what was started is stopped."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

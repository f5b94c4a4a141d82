"""Test hooks: points where a test breaks a process; without HEADGRAFT_FAULT they do nothing.

`HEADGRAFT_FAULT=POINT:ACTION:FLAG` acts once, at the first process that reaches the point: FLAG is
a path that is created then and must not be there before. Actions: `kill` (SIGKILL), `stop`
(SIGSTOP, until a test sends SIGCONT), `hold` (wait until the file FLAG.go is there).
"""

import os
import signal
import time
from pathlib import Path

VARIABLE = "HEADGRAFT_FAULT"


def point(name: str) -> None:
    """Break here if the environment says so."""
    chosen = os.environ.get(VARIABLE)
    if not chosen:
        return
    where, action, flag = chosen.split(":", 2)
    if where == name and _is_first(Path(flag)):
        _act(action, Path(f"{flag}.go"))


def _is_first(flag: Path) -> bool:
    try:
        flag.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _act(action: str, go: Path) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "hold":
        while not go.exists():
            time.sleep(0.02)
    else:
        raise ValueError(f"{VARIABLE}: the action {action!r} is not one of kill, stop, hold")

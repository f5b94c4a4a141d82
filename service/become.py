"""Replaces this process by one that may import torch; it does not know what that one does."""

import os
import sys
from typing import NoReturn


def become(module: str, *arguments: str, **variables: str) -> NoReturn:
    """Run `python -m module` in this process's place, with further environment variables."""
    environment = {**os.environ, **variables, "PYTHONSAFEPATH": "1"}
    os.execve(sys.executable, [sys.executable, "-m", module, *arguments], environment)  # noqa: S606  # no shell is wanted

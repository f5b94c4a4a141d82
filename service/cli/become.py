"""Replaces this process by one that may import torch."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn


def become(module: str, *arguments: str, **variables: str) -> NoReturn:
    """Run `python -m module` in this process's place, with further environment variables."""
    environment = {**os.environ, **variables, "PYTHONSAFEPATH": "1"}
    os.execve(sys.executable, [sys.executable, "-m", module, *arguments], environment)  # noqa: S606  # no shell is wanted


def command_line(options: Mapping[str, object], flags: Sequence[str], target: Path) -> list[str]:
    """Write options that have a value, flags and a file as a command line."""
    # A file may be called -x: every value is tied to its option, and the file stands behind --.
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    return [*given, *flags, "--", str(target)]

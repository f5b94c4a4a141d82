"""Finds programs that no wheel brings; it installs none.

`.ci/run` installs them where it may, and sets CI, so that there a missing one is a failure.
"""

import os
import shutil
from typing import NoReturn

import pytest


def find(name: str, *, package: str) -> str:
    """Return a program's path; without it skip the test, or fail it where CI is set."""
    return shutil.which(name) or give_up(f"no {name} on PATH: apt-get install {package}")


def give_up(reason: str) -> NoReturn:
    """Skip the running test, or fail it where CI is set."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)

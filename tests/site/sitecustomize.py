"""What tests change in the Python processes that they start.

Python runs this first in every process that has this folder in PYTHONPATH.

1. A worker loads its encoders when a job asks for one, not before. Loading the packaged sentence
   encoder takes seven CPU seconds, and few tests use it. A test of the early loading itself sets
   `HEADGRAFT_TEST_WARM`.
2. `HEADGRAFT_TEST_METHODS`, a folder, adds its modules to the methods.
"""

import os
import sys
import threading
from importlib.machinery import ModuleSpec
from typing import Any

WARM = "HEADGRAFT_TEST_WARM"
METHODS = "HEADGRAFT_TEST_METHODS"
THREAD = "warm"

run = threading.Thread.run


def run_unless_warm(self: threading.Thread) -> None:
    """Do what a thread does, except in the one that loads the encoders."""
    if self.name != THREAD:
        run(self)


class MoreMethods:
    """Finds the package headgraft.models.methods as ever, with one more folder of modules."""

    @staticmethod
    def find_spec(name: str, path: Any = None, _target: Any = None) -> ModuleSpec | None:
        if name != "headgraft.models.methods":
            return None
        others = (finder for finder in sys.meta_path if finder is not MoreMethods)
        spec = next(filter(None, (finder.find_spec(name, path) for finder in others)), None)
        if spec and spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(os.environ[METHODS])
        return spec


if WARM not in os.environ:
    threading.Thread.run = run_unless_warm  # type: ignore[method-assign]
if METHODS in os.environ:
    sys.meta_path.insert(0, MoreMethods)

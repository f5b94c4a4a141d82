"""Adds tests/faults/methods to the methods of processes started with this in PYTHONPATH."""

import runpy
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

BROKEN_METHODS = Path(__file__).parents[1] / "methods"
COLD_WORKERS = Path(__file__).parents[2] / "site" / "sitecustomize.py"


class MoreMethods:
    """Finds the package models.methods as ever, with one more folder of modules."""

    @staticmethod
    def find_spec(name: str, path: Any = None, _target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == "models.methods" else None
        if spec and spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(str(BROKEN_METHODS))
        return spec


sys.meta_path.insert(0, MoreMethods)
# Python runs one sitecustomize only, so that this one runs the other.
runpy.run_path(str(COLD_WORKERS))

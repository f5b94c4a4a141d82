"""The methods that are installed: each a module of models/methods, or a folder's method.py."""

import importlib
import pkgutil
from typing import cast

import headgraft.models.methods
from headgraft.models.errors import InjectionError
from headgraft.models.method import AnyMethod, RowMethod


def names() -> tuple[str, ...]:
    """List the installed methods, sorted."""
    return tuple(
        sorted(module.name for module in pkgutil.iter_modules(headgraft.models.methods.__path__))
    )


def method(name: str) -> AnyMethod:
    """Import a method by name; InjectionError naming the installed ones."""
    if name not in names():
        raise InjectionError(
            f"method {name!r} is not one of {', '.join(names())}",
            code="unknown_method",
            pointer="/method",
        )
    module = importlib.import_module(f"headgraft.models.methods.{name}")
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"headgraft.models.methods.{name}.method")
    return cast(AnyMethod, module.METHOD)


def row_method(name: str) -> RowMethod:
    """Import a method that makes rows; InjectionError where it makes a head of its own kind."""
    chosen = method(name)
    if chosen.head != "rows":
        raise InjectionError(
            f"method {name!r} makes no rows that could be placed", pointer="/method"
        )
    return cast(RowMethod, chosen)


def candidates() -> tuple[RowMethod, ...]:
    """List the methods that a choice among methods may try, by name."""
    return tuple(row_method(name) for name in names() if method(name).candidate)

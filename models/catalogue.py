"""The methods that are installed: one module each in models/methods."""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any, Literal, Protocol, cast

import torch
from pydantic import BaseModel, ValidationError

import headgraft.models.methods
from headgraft.models.errors import InjectionError
from headgraft.models.heads.head import Head
from headgraft.models.heads.protocol import NativeHead
from headgraft.models.progress import Progress
from headgraft.models.task import Task

Kind = Literal["rows", "semantic", "attribute"]


class Method(Protocol):
    """The interface of a module in models/methods, but for those that say HEAD."""

    NEEDS: frozenset[str]
    Settings: type[BaseModel]

    def synthesize(
        self, task: Task, settings: Any, *, device: str | torch.device, progress: Progress
    ) -> Head:
        """Return one row per unseen class, in order: float32, on the CPU."""

    def expected_seconds(self, task: Task, settings: Any, device: str | torch.device, /) -> float:
        """Predict the seconds of a fit to a task that meets the needs; 0 for a closed form."""


class NativeMethod(Protocol):
    """The interface of a module whose result is no row: HEAD is the kind of head it makes."""

    Settings: type[BaseModel]

    def synthesize(
        self, task: Task, settings: Any, *, device: str | torch.device, progress: Progress
    ) -> NativeHead:
        """Return the head of all classes, seen first, on the CPU."""

    def expected_seconds(self, task: Task, settings: Any, device: str | torch.device, /) -> float:
        """Predict the seconds of a fit to a task that meets the needs; 0 for a closed form."""


def names() -> tuple[str, ...]:
    """List the installed methods, sorted."""
    return tuple(
        sorted(found.name for found in pkgutil.iter_modules(headgraft.models.methods.__path__))
    )


def candidates() -> tuple[str, ...]:
    """List the methods that a choice among methods may try: all but those with AUTO = False."""
    return tuple(name for name in names() if getattr(method(name), "AUTO", True))


def method(name: str) -> Method:
    """Import a method by name; InjectionError naming the installed ones."""
    if name not in names():
        raise InjectionError(
            f"method {name!r} is not one of {', '.join(names())}",
            code="unknown_method",
            pointer="/method",
        )
    module = importlib.import_module(f"headgraft.models.methods.{name}")
    if hasattr(module, "__path__"):  # a folder: its method.py is the interface
        module = importlib.import_module(f"headgraft.models.methods.{name}.method")
    return cast(Method, module)


def expected_seconds(
    name: str, task: Task, settings: Mapping[str, Any], device: str | torch.device
) -> float:
    """Predict the seconds of one fit of a method whose needs the task meets."""
    return method(name).expected_seconds(task, parse_settings(name, dict(settings)), device)


def takes(name: str) -> frozenset[str]:
    """Tell what a method makes use of where it is there: `features`."""
    return cast(frozenset[str], getattr(method(name), "TAKES", frozenset()))


def kind(name: str) -> Kind:
    """Tell what a method makes: rows, or a head of its own kind."""
    return cast(Kind, getattr(method(name), "HEAD", "rows"))


def iterative(name: str) -> bool:
    """Tell whether a method trains in steps: it has ITERATIVE = True, or a setting `epochs`."""
    module = method(name)
    return getattr(module, "ITERATIVE", "epochs" in module.Settings.model_fields)


def native_method(name: str) -> NativeMethod:
    """Import a method whose result is no row; InjectionError naming the installed ones."""
    assert kind(name) != "rows", name
    return cast(NativeMethod, method(name))


def parse_settings(name: str, given: dict[str, Any]) -> BaseModel:
    """Check the settings of a method; InjectionError pointing at the first bad field."""
    settings = method(name).Settings
    try:
        return settings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        field = "/".join(str(part) for part in first["loc"])
        raise InjectionError(
            _explain(name, field, first["type"], first["msg"], first["input"], settings),
            code="invalid_settings",
            pointer=f"/settings/{field}".rstrip("/"),
        ) from error


def _explain(
    name: str, field: str, kind: str, message: str, value: object, settings: type[BaseModel]
) -> str:
    if kind == "extra_forbidden":
        legal = ", ".join(sorted(settings.model_fields)) or "none"
        return f"method {name!r} has no setting {field!r}; it has: {legal}"
    return f"setting {field!r} of method {name!r} cannot be {value!r:.80}: {message}"

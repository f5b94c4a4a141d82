"""What a method is: one typed value, in which every module of models/methods ends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch
from pydantic import BaseModel, JsonValue, ValidationError
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.models.heads.head import Head
from headgraft.models.heads.protocol import NativeHead
from headgraft.models.progress import Progress
from headgraft.models.task import Task

Kind = Literal["rows", "semantic", "attribute"]
Need = Literal["attributes", "features", "joint_embeddings", "regions", "text_tower"]
# Of two CPU cores: multiply-adds a second, and parameters that Adam updates a second.
MULTIPLY_ADDS, UPDATES = 6e10, 3e8
GPU_SPEEDUP = 20.0
S = TypeVar("S", bound=BaseModel)
S_contra = TypeVar("S_contra", bound=BaseModel, contravariant=True)
M = TypeVar("M", Head, NativeHead)
M_co = TypeVar("M_co", bound=Head | NativeHead, covariant=True)


class Synthesize(Protocol[S_contra, M_co]):
    """Makes the rows of the unseen classes, or a head of its own kind."""

    def __call__(
        self, task: Task, settings: S_contra, *, device: str | torch.device, progress: Progress
    ) -> M_co:
        """Return a head of the unseen classes' rows, in order: float32, on the CPU.

        A method that replaces seen rows, or makes a head that is no rows, returns all classes,
        seen ones first. InjectionError for what the user caused, Stopped on cancellation.
        """


class LeaveOut(Protocol[S_contra]):
    """Predicts the rows of hidden seen classes at the cost of about one fit."""

    def __call__(
        self, task: Task, settings: S_contra, fold_S: Tensor, *, device: str | torch.device
    ) -> Tensor:
        """Return each seen class's row (S, K) from the other folds' classes alone: float32."""


@dataclass(frozen=True)
class Method(Generic[S, M]):
    """A method: what it needs and makes, its settings, and the functions that run it.

    `doc` is its module's docstring. `takes` is what it uses where a task has it. A `candidate` is
    tried by "auto", with each value of the settings in `tunable`, the best guess first. One that
    trains in steps is `iterative`: its calibration hides classes once, not fold by fold.
    `expected_seconds` predicts a fit to a task that meets the needs; None: a closed form that costs
    next to nothing.
    """

    name: str
    doc: str | None
    settings: type[S]
    synthesize: Synthesize[S, M]
    needs: frozenset[Need] = frozenset()
    takes: frozenset[Need] = frozenset()
    head: Kind = "rows"
    candidate: bool = False
    iterative: bool = False
    tunable: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))
    leave_out: LeaveOut[S] | None = None
    expected_seconds: Callable[[Task, S, str | torch.device], float] | None = None

    @property
    def summary(self) -> str:
        """The first line of the module's docstring."""
        return (self.doc or "").strip().partition("\n")[0]

    def parse(self, settings: Mapping[str, JsonValue]) -> "ParsedMethod[S, M]":
        """Check settings; InjectionError names the first bad one and points at it."""
        explicit = dict(settings)
        try:
            return ParsedMethod(self, explicit, self.settings.model_validate(explicit))
        except ValidationError as error:
            first = error.errors()[0]
            name = "/".join(str(part) for part in first["loc"])
            raise InjectionError(
                self._explain(name, first["type"], first["msg"], first["input"]),
                code="invalid_settings",
                pointer=f"/settings/{name}".rstrip("/"),
            ) from error

    def _explain(self, name: str, kind: str, message: str, value: object) -> str:
        if kind == "extra_forbidden":
            legal = ", ".join(sorted(self.settings.model_fields)) or "none"
            return f"method {self.name!r} has no setting {name!r}; it has: {legal}"
        return f"setting {name!r} of method {self.name!r} cannot be {value!r:.80}: {message}"


@dataclass(frozen=True)
class ParsedMethod(Generic[S, M]):
    """A method with its settings: those that the user gave, and all of them as checked data."""

    method: Method[S, M]
    explicit: dict[str, Any]  # checked: each value is of its setting's type
    settings: S

    @property
    def name(self) -> str:
        """The method's name."""
        return self.method.name

    @property
    def dump(self) -> dict[str, JsonValue]:
        """All settings as a report shows them."""
        return self.settings.model_dump(mode="json")

    def synthesize(self, task: Task, *, device: str | torch.device, progress: Progress) -> M:
        """Run the method; see `Synthesize`."""
        return self.method.synthesize(task, self.settings, device=device, progress=progress)

    def expected_seconds(self, task: Task, device: str | torch.device) -> float:
        """Predict the seconds of one fit; 0 for a closed form."""
        expected = self.method.expected_seconds
        return 0.0 if expected is None else expected(task, self.settings, device)


def training_seconds(
    multiply_adds: float, updates: float, device: str | torch.device = "cpu"
) -> float:
    """Predict the seconds of a training: forward multiply-adds, and parameters times steps.

    Gradients cost twice the multiply-adds again.
    """
    seconds = 3 * multiply_adds / MULTIPLY_ADDS + updates / UPDATES
    return float(seconds / GPU_SPEEDUP if torch.device(device).type == "cuda" else seconds)


RowMethod = Method[Any, Head]
AnyMethod = Method[Any, Head] | Method[Any, NativeHead]
ParsedRows = ParsedMethod[Any, Head]
AnyParsed = ParsedMethod[Any, Head] | ParsedMethod[Any, NativeHead]

"""Walks a method's tunable settings towards the best expected accuracy.

It does not compare methods, and looks at no picture.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from models import catalogue
from models.calibrate import Ground, simulate
from models.errors import InjectionError
from models.estimate import Prefer, Simulated
from models.leave_out import FOLDS, LeftOut, leave_out
from models.progress import Progress
from models.task import Task

TRIALS_MAX = 14
GAIN_MIN = 0.003  # of the objective: less is noise, and not worth leaving the start for


@dataclass(frozen=True, eq=False)
class Trial:
    """One candidate: what was hidden and found again, at which scale, and how good that is."""

    method: str
    settings: dict[str, Any]
    left_out: LeftOut
    simulated: Simulated
    at: int
    value: float
    group_size: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Search:
    """What all trials of a task have in common."""

    task: Task
    ground: Ground
    prefer: Prefer
    seen_loss_points: float | None
    device: str | torch.device
    progress: Progress

    def walk(self, method: str, given: dict[str, Any], ends: float, *, tune: bool) -> list[Trial]:
        """Try a method where it starts, then step while that pays, until the clock says `ends`.

        Settings that are given stay. The last of the returned trials is the chosen one.
        """
        tunable: Mapping[str, float] = getattr(catalogue.method(method), "TUNABLE", {})
        steps = {key: factor for key, factor in tunable.items() if tune and key not in given}
        best = self.attempt(method, given)
        trials = {_key(method, given): best}
        moving = True
        while moving:
            moving = False
            for settings in _neighbours(method, best.settings, steps):
                if len(trials) >= TRIALS_MAX or time.perf_counter() > ends:
                    break
                key = _key(method, settings)
                if key in trials:
                    continue
                self.progress(len(trials) / TRIALS_MAX, "calibrate")
                trials[key] = self.attempt(method, settings)
                if trials[key].value > best.value + GAIN_MIN:
                    best, moving = trials[key], True
                    break
        return [*(trial for trial in trials.values() if trial is not best), best]

    def attempt(self, method: str, settings: dict[str, Any]) -> Trial:
        """Hide seen classes, inject them, and find the best scale."""
        began = time.perf_counter()
        # An iterative method is calibrated from one fit: each costs as much as the final one.
        iterative = "epochs" in catalogue.method(method).Settings.model_fields
        left_out = leave_out(
            self.task,
            method,
            settings,
            device=self.device,
            progress=self.progress,
            fits=1 if iterative else FOLDS,
        )
        unseen = len(self.task.unseen_class_names)
        simulated = simulate(self.ground, left_out, unseen)
        loss = None if self.seen_loss_points is None else self.seen_loss_points / 100
        at = simulated.choose(self.prefer, loss)
        value = simulated.value(self.prefer) if loss is None else simulated.real.u_GT.mean(dim=0)
        largest = int(left_out.fold_S[left_out.known_S].bincount().max())
        return Trial(
            method,
            settings,
            left_out,
            simulated,
            at,
            float(value[at]),
            min(unseen, largest),
            time.perf_counter() - began,
        )


def _neighbours(
    method: str, settings: dict[str, Any], steps: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    """Yield the legal settings that are one step away."""
    present = catalogue.parse_settings(method, settings).model_dump()
    for key, factor in steps.items():
        for stepped in (present[key] * factor, present[key] / factor):
            candidate = {**settings, key: stepped}
            try:
                catalogue.parse_settings(method, candidate)
            except InjectionError:
                continue
            yield candidate


def _key(method: str, settings: dict[str, Any]) -> str:
    present = catalogue.parse_settings(method, settings).model_dump()
    return " ".join(
        f"{value:.6g}" if isinstance(value, float) else str(value) for value in present.values()
    )

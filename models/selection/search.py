"""Walks a method's tunable settings towards the best expected accuracy."""

import math
import time
from dataclasses import dataclass

import torch

from headgraft.models.method import ParsedRows
from headgraft.models.progress import Progress
from headgraft.models.selection.calibrate import Ground, simulate
from headgraft.models.selection.estimate import Prefer, Simulated
from headgraft.models.selection.leave_out import FOLDS, LeftOut, leave_out
from headgraft.models.task import Task

NO_DIFFERENCE = 0.02  # of the objective: what the simulation cannot tell apart


@dataclass(frozen=True, eq=False)
class Trial:
    """One candidate: what was hidden and found again, at which scale, and how good that is."""

    parsed: ParsedRows
    left_out: LeftOut
    simulated: Simulated
    at: int
    value: float
    group_size: int
    seconds: float

    @property
    def has_value(self) -> bool:
        """Tell whether the play gave a number; without one, the trial is never chosen."""
        return math.isfinite(self.value)


@dataclass(frozen=True, eq=False)
class Search:
    """What all trials of a task have in common."""

    task: Task
    ground: Ground
    prefer: Prefer
    seen_loss: float | None
    device: str | torch.device
    progress: Progress

    def walk(self, parsed: ParsedRows, ends: float, *, tune: bool) -> list[Trial]:
        """Try a method's tunable settings one after the other, until the clock says `ends`.

        Settings that are given stay, defaults do not matter: the values to try are the method's.
        The last of the returned trials is the chosen one.
        """
        trials: dict[str, Trial] = {}
        chosen = parsed
        for key, values in parsed.method.tunable.items() if tune else ():
            if key in parsed.given:
                continue
            line = [parsed.method.parse({**chosen.given, key: value}) for value in values]
            self._try_all(line, trials, ends)
            tried = [trial for one in line if (trial := trials.get(_key(one)))]
            # Without time for any of them, or a number for any, the setting stays as it comes.
            if known := [trial for trial in tried if trial.has_value]:
                chosen = _most_trusted(known).parsed
        self._try_all([chosen], trials, ends)
        best = trials[_key(chosen)]
        return [*(trial for trial in trials.values() if trial is not best), best]

    def _try_all(self, line: list[ParsedRows], trials: dict[str, Trial], ends: float) -> None:
        """Try each of the candidates that was not tried yet: one at least, more while time is."""
        for parsed in line:
            key = _key(parsed)
            if key in trials:
                continue
            if trials and time.perf_counter() > ends:
                return
            self.progress(0.0, "calibrate")
            trials[key] = self.attempt(parsed)

    def attempt(self, parsed: ParsedRows) -> Trial:
        """Hide seen classes, inject them, and find the best scale."""
        began = time.perf_counter()
        left_out = leave_out(
            self.task,
            parsed,
            device=self.device,
            progress=self.progress,
            # Each fit of such a method costs as much as the final one.
            fits=1 if parsed.method.iterative else FOLDS,
        )
        unseen = len(self.task.unseen_class_names)
        simulated = simulate(self.ground, left_out, unseen)
        at = simulated.choose(self.prefer, self.seen_loss)
        largest = int(left_out.fold_S[left_out.known_S].bincount().max())
        return Trial(
            parsed,
            left_out,
            simulated,
            at,
            simulated.worth(at, self.prefer, self.seen_loss),
            min(unseen, largest),
            time.perf_counter() - began,
        )


def _most_trusted(line: list[Trial]) -> Trial:
    """Return the first trial that is as good as any, but for what counts as no difference."""
    best = max(trial.value for trial in line)
    return next(trial for trial in line if trial.value >= best - NO_DIFFERENCE)


def _key(parsed: ParsedRows) -> str:
    return " ".join(
        f"{value:.6g}" if isinstance(value, float) else str(value)
        for value in parsed.settings.model_dump().values()
    )

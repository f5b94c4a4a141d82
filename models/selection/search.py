"""Tunes a method's settings towards the best expected accuracy."""

import math
import time
from dataclasses import dataclass

import torch

from headgraft.models.learners.kernel_ridge import LANDMARKS
from headgraft.models.method import ParsedRows
from headgraft.models.progress import Progress
from headgraft.models.selection.calibrate import HeadContext, simulate
from headgraft.models.selection.estimate import Prefer, Simulation
from headgraft.models.selection.leave_out import FOLDS, HeldOutPrediction, leave_out
from headgraft.models.task import Task

NO_DIFFERENCE = 0.02  # of the objective: what the simulation cannot tell apart
# Of two CPU cores, a second: hiding classes and injecting them moves more than it computes.
PLAY_MULTIPLY_ADDS = 1.2e10


@dataclass
class Budget:
    """What is left for trying candidates, in seconds of two usual CPU cores.

    What a trial takes is predicted from the sizes of its task, never measured, so that the same
    request is solved alike on any machine, however busy.
    """

    seconds: float

    def take(self, seconds: float) -> None:
        """Spend so much, and more than there is if need be."""
        self.seconds = max(self.seconds - seconds, 0.0)


@dataclass(frozen=True, eq=False)
class Trial:
    """One candidate: predictions for hidden classes, the best scale, and its value.

    `at` is the index of the scale in SCALES; `value` is what `Simulation.worth` returns.
    """

    parsed: ParsedRows
    held_out: HeldOutPrediction
    simulation: Simulation
    at: int
    value: float
    group_size: int
    seconds: float

    @property
    def has_value(self) -> bool:
        """Tell whether the simulation gave a number; without one, the trial is never chosen."""
        return math.isfinite(self.value)


@dataclass(frozen=True, eq=False)
class Search:
    """What all trials of a task have in common."""

    task: Task
    context: HeadContext
    prefer: Prefer
    seen_loss: float | None
    device: str | torch.device
    progress: Progress

    def tune(self, parsed: ParsedRows, budget: Budget, *, vary: bool) -> list[Trial]:
        """Try a method's tunable settings one after the other, until the budget is spent.

        Settings that are given stay, defaults do not matter: the values to try are the method's.
        The last of the returned trials is the chosen one.
        """
        trials: dict[str, Trial] = {}
        chosen = parsed
        for key, values in parsed.method.tunable.items() if vary else ():
            if key in parsed.explicit:
                continue
            variants = [parsed.method.parse({**chosen.explicit, key: value}) for value in values]
            self._try_all(variants, trials, budget)
            tried = [trial for variant in variants if (trial := trials.get(_key(variant)))]
            # Without budget for any of them, or a number for any, the setting stays as it comes.
            if with_value := [trial for trial in tried if trial.has_value]:
                chosen = _most_trusted(with_value).parsed
        self._try_all([chosen], trials, budget)
        best = trials[_key(chosen)]
        return [*(trial for trial in trials.values() if trial is not best), best]

    def _try_all(
        self, variants: list[ParsedRows], trials: dict[str, Trial], budget: Budget
    ) -> None:
        """Try each of the variants that was not tried yet: one at least, more while budget is."""
        for parsed in variants:
            key = _key(parsed)
            if key in trials:
                continue
            if trials and not budget.seconds:
                return
            self.progress(0.0, "calibrate")
            trials[key] = self.attempt(parsed)
            budget.take(self.expected_seconds(parsed))

    def expected_seconds(self, parsed: ParsedRows) -> float:
        """Predict the seconds of a trial on two usual CPU cores, whatever it runs on."""
        head, size = self.task.head, self.task.class_embeddings_SA.shape[1]
        features = self.context.guessed or self.context.features or self.context.simulated
        K, N = head.rows.shape[1], len(features.labels_N)
        hiding = head.class_count * min(head.class_count, LANDMARKS) * (size + K)
        playing = N * head.class_count * K
        fits = 1 if parsed.method.iterative or parsed.method.leave_out else FOLDS
        own = fits * parsed.expected_seconds(self.task, "cpu")
        return own + (hiding + playing) / PLAY_MULTIPLY_ADDS

    def attempt(self, parsed: ParsedRows) -> Trial:
        """Hide seen classes, inject them, and find the best scale."""
        began = time.perf_counter()
        held_out = leave_out(
            self.task,
            parsed,
            device=self.device,
            progress=self.progress,
            # Each fit of such a method costs as much as the final one.
            fits=1 if parsed.method.iterative else FOLDS,
        )
        unseen = len(self.task.unseen_class_names)
        simulation = simulate(self.context, held_out, unseen)
        at = simulation.choose(self.prefer, self.seen_loss)
        largest = int(held_out.fold_S[held_out.known_S].bincount().max())
        return Trial(
            parsed,
            held_out,
            simulation,
            at,
            simulation.worth(at, self.prefer, self.seen_loss),
            min(unseen, largest),
            time.perf_counter() - began,
        )


def _most_trusted(trials: list[Trial]) -> Trial:
    """Return the first trial that is as good as any, but for what counts as no difference."""
    best = max(trial.value for trial in trials)
    return next(trial for trial in trials if trial.value >= best - NO_DIFFERENCE)


def _key(parsed: ParsedRows) -> str:
    return " ".join(
        f"{value:.6g}" if isinstance(value, float) else str(value)
        for value in parsed.settings.model_dump().values()
    )

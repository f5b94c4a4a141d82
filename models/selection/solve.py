"""Solves a task: tries methods, calibrates their rows, and picks by the expected accuracy.

Every choice comes from injecting seen classes that are hidden; the only pictures it uses are the
features that the user gave, with labels or without.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from pydantic import JsonValue

from headgraft.models import catalogue
from headgraft.models.errors import InjectionError
from headgraft.models.heads.extend import split
from headgraft.models.method import Need, ParsedRows
from headgraft.models.progress import Progress
from headgraft.models.selection.calibrate import (
    Calibration,
    build_context,
    centring_of,
    choose_shift,
    place,
    present_scale,
    simulate,
)
from headgraft.models.selection.caveats import find_caveats
from headgraft.models.selection.estimate import (
    Prefer,
    Simulation,
    estimate,
    unknown_estimate,
)
from headgraft.models.selection.known_classes import Familiarity, familiarity
from headgraft.models.selection.outlook import Outlook, Placement, finish, only_known
from headgraft.models.selection.search import Budget, Search, Trial
from headgraft.models.selection.solution import CandidateResult, CurvePoint, Solution
from headgraft.models.selection.trade_off import SCALES
from headgraft.models.task import Task

AUTO = "auto"
FALLBACK = "ridge"  # what "auto" is where nothing can be tried
SEEN_MIN = 5
NO_NUMBER = "no estimate: hiding old classes and adding them again gave no finite accuracy"


@dataclass(frozen=True)
class Preferences:
    """What the user wants of the head; with `enabled` off, rows stay as the method makes them.

    `seen_loss_points` is the most that seen accuracy may fall, in points of a hundred; it takes
    the place of `prefer`. `seen_accuracy` is the head's own accuracy in [0, 1] where known.
    `budget_seconds` are those of two usual CPU cores: see `Budget`.
    """

    enabled: bool = True
    prefer: Prefer = "balanced"
    seen_loss_points: float | None = None
    seen_accuracy: float | None = None
    add_bias: bool = False
    budget_seconds: float = 10.0

    @property
    def are_default(self) -> bool:
        """Whether the balance of old and new is left to us."""
        return self.enabled and self.prefer == "balanced" and self.seen_loss_points is None

    @property
    def seen_loss(self) -> float | None:
        """The most that seen accuracy may fall, in [0, 1]."""
        return None if self.seen_loss_points is None else self.seen_loss_points / 100


def choose_candidates(task: Task, settings: Mapping[str, JsonValue]) -> list[ParsedRows]:
    """List the methods whose needs the task meets, cheapest first, each with its own settings.

    InjectionError for a setting that no candidate has, or a value that one cannot take.
    """
    met: set[Need] = set()
    if task.class_embeddings_SA.shape[1] == task.head.feature_size:
        met.add("joint_embeddings")
    if task.text_tower:
        met.add("text_tower")
    fitting = [method for method in catalogue.candidates() if met >= method.needs]
    legal = {key for method in fitting for key in method.settings.model_fields}
    for key in settings:
        if key not in legal:
            raise InjectionError(
                f"no method that fits this task has a setting {key!r}; "
                f"they have: {', '.join(sorted(legal))}",
                code="invalid_settings",
                pointer=f"/settings/{key}",
            )
    by_cost = sorted(
        fitting, key=lambda method: (method.parse({}).expected_seconds(task, "cpu"), method.name)
    )
    return [
        method.parse(
            {key: settings[key] for key in settings if key in method.settings.model_fields}
        )
        for method in by_cost
    ]


def solve(
    task: Task,
    candidates: Sequence[ParsedRows],
    preferences: Preferences,
    *,
    device: str | torch.device,
    progress: Progress,
) -> Solution:
    """Make the unseen rows with the one candidate, or with the best of several.

    Settings that are given stay; a given `scale` too. InjectionError for what the user caused,
    Stopped on cancellation.
    """
    if task.head.class_count < SEEN_MIN:
        by_name = {candidate.name: candidate for candidate in candidates}
        chosen = by_name.get(FALLBACK, candidates[0])
        return _solve_uncalibrated(task, chosen, _too_few_classes(task), device, progress)
    progress(0.0, "calibrate")
    accuracy = _own_accuracy(task, preferences)
    context = build_context(task.head, accuracy, task.features, task.unlabelled)
    familiar = familiarity(task)
    known = only_known(task, familiar.known_U) if preferences.are_default else task
    search = Search(known, context, preferences.prefer, preferences.seen_loss, device, progress)
    budget = Budget(preferences.budget_seconds)
    best_trials: list[Trial] = []
    results: list[CandidateResult] = []
    for candidate in candidates:
        skipped = _too_long(task, candidate, budget) if len(candidates) > 1 else None
        if skipped:
            results.append(
                CandidateResult(candidate.name, candidate.explicit, None, 0.0, 0, skipped)
            )
            continue
        trials = search.tune(candidate, budget, vary=preferences.enabled)
        best_trials.append(trials[-1])
        results += [_result(task, trial) for trial in trials]
    if with_value := [trial for trial in best_trials if trial.has_value]:
        best = max(with_value, key=lambda trial: trial.value)
        return _solve_calibrated(task, familiar, search, best, preferences, tuple(results))
    solution = _solve_uncalibrated(task, best_trials[0].parsed, NO_NUMBER, device, progress)
    return replace(solution, tried=tuple(results))


def _own_accuracy(task: Task, preferences: Preferences) -> float | None:
    """Return the head's accuracy as the user says it, or as enough features tell it."""
    all_S = torch.ones(task.head.class_count, dtype=torch.bool)
    if preferences.seen_accuracy is None and task.features and task.features.suffice(all_S):
        return task.features.head_accuracy
    return preferences.seen_accuracy


def _too_long(task: Task, candidate: ParsedRows, budget: Budget) -> str | None:
    # One fit that hides a fold, and the final one.
    needed = 2 * candidate.expected_seconds(task, "cpu")
    if needed == 0 or needed <= budget.seconds:
        return None
    return (
        f"skipped: it would take about {needed:.0f} s on two CPU cores, and {budget.seconds:.0f} s "
        "of the budget are left"
    )


def _solve_calibrated(
    task: Task,
    familiar: Familiarity,
    search: Search,
    best: Trial,
    preferences: Preferences,
    tried: tuple[CandidateResult, ...],
) -> Solution:
    """Fit the chosen method on all seen classes and place its rows."""
    context = search.context
    rows = best.parsed.synthesize(task, device=search.device, progress=search.progress)
    seen, raw = split(task.head, rows)
    if seen is not task.head:
        context = context.replacing(seen)
    centring = centring_of(context, best.held_out)
    unseen_count = len(search.task.unseen_class_names)
    simulation = simulate(context, best.held_out, unseen_count, careful=True)
    calibration, unseen = None, raw
    at = _nearest_scale(present_scale(context, raw, centring))
    if preferences.enabled:
        calibration, simulation, at = _calibrate(search, best, simulation, preferences)
        calibration = replace(calibration, equal_distance=centring.length is None)
        unseen = place(context, raw, centring, calibration)
    caveats = find_caveats(search, best, simulation, add_bias=preferences.add_bias)
    usual = estimate(simulation, at, caveats, unseen=unseen_count)
    placement = Placement(
        unseen,
        calibration.scale if calibration else 0.0,
        lambda scale: place(
            context, raw, centring, replace(calibration or Calibration(0.0), scale=scale)
        ),
        may_shorten=preferences.are_default and "scale" not in best.parsed.explicit,
    )
    outlook = finish(task, context, best.held_out, (simulation, at, usual), placement, familiar)
    if calibration and outlook.chance_scale is not None and outlook.all_at_chance:
        calibration = replace(calibration, scale=outlook.chance_scale)
    return Solution(
        seen=seen,
        unseen=outlook.unseen,
        raw=raw,
        method=best.parsed.name,
        settings=best.parsed.dump,
        calibration=calibration,
        estimate=outlook.estimate,
        curve=tuple(
            CurvePoint(scale, *outlook.at_scale(*simulation.expected(index)[:2]))
            for index, scale in enumerate(SCALES)
        ),
        tried=tuple(_of_these(result, best, outlook) for result in tried),
        outlook=outlook,
        bounded=placement.may_shorten and not simulation.gains,
    )


def _of_these(result: CandidateResult, best: Trial, outlook: Outlook) -> CandidateResult:
    """Say of a candidate what to expect of these new classes: of the chosen, what is delivered."""
    if result.estimate is None:
        return result
    if (result.method, result.settings) == (best.parsed.name, best.parsed.explicit):
        return replace(result, estimate=replace(outlook.estimate, reasons=()))
    return replace(result, estimate=outlook.of_these(result.estimate))


def _calibrate(
    search: Search, best: Trial, simulation: Simulation, preferences: Preferences
) -> tuple[Calibration, Simulation, int]:
    """Choose scale and, on the user's features, shift; with the simulation and the scale's index.

    A scale that the user gave is kept, and the estimate is read there.
    """
    scale = best.parsed.explicit.get("scale")
    if scale is not None:
        return Calibration(scale), simulation, _nearest_scale(scale)
    prefer, seen_loss = preferences.prefer, preferences.seen_loss
    # Generic pictures do not tell how large a logit of the new classes' own pictures would be.
    if simulation.ground in ("rows", "generic") or search.task.head.bias is None:
        at = simulation.choose(prefer, seen_loss)
        return Calibration(SCALES[at]), simulation, at
    unseen = len(search.task.unseen_class_names)
    shift, simulation, at = choose_shift(search.context, best.held_out, unseen, prefer, seen_loss)
    return Calibration(SCALES[at], bias_shift=shift), simulation, at


def _solve_uncalibrated(
    task: Task, parsed: ParsedRows, reason: str, device: str | torch.device, progress: Progress
) -> Solution:
    """Solve a task of which no class can be hidden, for a reason, with the settings as given."""
    seen, raw = split(task.head, parsed.synthesize(task, device=device, progress=progress))
    reason = f"{reason}: the rows are as the method makes them, their accuracy is unknown"
    unused = ", labelled features were not used" if task.features else ""
    nothing = unknown_estimate(reason + unused)
    tried = (CandidateResult(parsed.name, parsed.dump, nothing, 0.0, 1, None),)
    return Solution(seen, raw, raw, parsed.name, parsed.dump, None, nothing, (), tried)


def _too_few_classes(task: Task) -> str:
    return (
        f"the head has {task.head.class_count} classes, and {SEEN_MIN} are the fewest of which "
        "some can be hidden"
    )


def _result(task: Task, trial: Trial) -> CandidateResult:
    parsed, fits = trial.parsed, trial.held_out.fits
    if not trial.has_value:
        return CandidateResult(parsed.name, parsed.explicit, None, trial.seconds, fits, NO_NUMBER)
    expected = estimate(trial.simulation, trial.at, unseen=len(task.unseen_class_names))
    return CandidateResult(parsed.name, parsed.explicit, expected, trial.seconds, fits)


def _nearest_scale(scale: float) -> int:
    return min(range(len(SCALES)), key=lambda at: abs(SCALES[at] - scale))

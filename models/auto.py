"""Solves a task: tries methods, calibrates their rows, and picks by the expected accuracy.

It looks at no picture: every choice comes from injecting seen classes that are hidden. It knows
nothing of a method but its settings.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from models import catalogue
from models.calibrate import ASSUMED_ACCURACY, Calibration, centre_of, place, present_scale, survey
from models.cost import expected_seconds
from models.errors import InjectionError
from models.estimate import Estimate, Prefer, Simulated, estimate, unknown
from models.head import Head
from models.outlook import ClassOutlook, look_ahead
from models.progress import Progress
from models.search import Search, Trial
from models.task import Task
from models.trade_off import SCALES

AUTO = "auto"
SMALL = "ridge"  # what "auto" is where nothing can be tried
SEEN_MIN = 5
# An estimate of T1 below so many times chance says that the embeddings carry nothing.
NEAR_CHANCE = 3.0
UNREACHED = 0.03


@dataclass(frozen=True)
class Wish:
    """What the user wants of the head.

    `seen_loss_points` is the most that seen accuracy may fall, in points of a hundred; it takes
    the place of `prefer`. `seen_accuracy` is the head's own accuracy in [0, 1] where known.
    """

    prefer: Prefer = "balanced"
    seen_loss_points: float | None = None
    add_bias: bool = False
    budget_seconds: float = 60.0
    calibrate: bool = True
    seen_accuracy: float | None = None


@dataclass(frozen=True)
class Tried:
    """One line of the table of candidates; `skipped` says why there is no estimate."""

    method: str
    settings: dict[str, Any]
    estimate: Estimate | None
    seconds: float
    fits: int
    skipped: str | None = None


@dataclass(frozen=True)
class CurvePoint:
    """Expected seen and unseen accuracy at one scale."""

    scale: float
    u: float
    s: float
    H: float


@dataclass(frozen=True, eq=False)
class Solution:
    """Unseen rows, calibrated and as the method made them, with all that is known of them.

    `curve` and `outlook` are empty where nothing could be hidden.
    """

    unseen: Head
    raw: Head
    method: str
    settings: dict[str, Any]
    calibration: Calibration | None
    estimate: Estimate
    curve: tuple[CurvePoint, ...]
    outlook: tuple[ClassOutlook, ...]
    tried: tuple[Tried, ...]


def solve(
    task: Task,
    method: str,
    settings: Mapping[str, Any],
    wish: Wish,
    *,
    device: str | torch.device,
    progress: Progress,
) -> Solution:
    """Make the unseen rows with one method by name, or the best of all with "auto".

    Settings that are given stay; a given `scale` too. InjectionError for what the user caused,
    Stopped when told to stop.
    """
    names = _names(task) if method == AUTO else [method]
    given = dict(settings)
    _check(names, given, method == AUTO)
    if task.head.class_count < SEEN_MIN:
        name = SMALL if method == AUTO else method
        return _unsurveyed(task, name, _allowed(name, given), device, progress)
    progress(0.0, "calibrate")
    ground = survey(task.head, wish.seen_accuracy)
    search = Search(task, ground, wish.prefer, wish.seen_loss_points, device, progress)
    ends = time.perf_counter() + wish.budget_seconds
    trials: list[Trial] = []
    tried: list[Tried] = []
    for name in names:
        own = _allowed(name, given) if method == AUTO else given
        skipped = _too_long(task, name, own, ends, device) if method == AUTO else None
        if skipped:
            tried.append(Tried(name, own, None, 0.0, 0, skipped))
            continue
        found = search.walk(name, own, ends, tune=wish.calibrate)
        trials.append(found[-1])
        tried += [_line(task, trial) for trial in found]
    best = max(trials, key=lambda trial: trial.value)
    return _deliver(search, best, wish, tuple(tried))


def _names(task: Task) -> list[str]:
    """List the methods whose needs the task meets, cheapest first."""
    same_size = task.class_embeddings_SA.shape[1] == task.head.feature_size
    met = {"joint_embeddings"} if same_size else set()
    names = [name for name in catalogue.candidates() if met >= catalogue.method(name).NEEDS]
    return sorted(names, key=lambda name: (expected_seconds(task, name, {}, "cpu"), name))


def _check(names: list[str], given: dict[str, Any], any_of_them: bool) -> None:
    """Refuse a setting that no candidate has, and a value that one cannot take."""
    legal = {key for name in names for key in catalogue.method(name).Settings.model_fields}
    for key in given:
        if any_of_them and key not in legal:
            raise InjectionError(
                f"no method that fits this task has a setting {key!r}; "
                f"they have: {', '.join(sorted(legal))}",
                code="invalid_settings",
                pointer=f"/settings/{key}",
            )
    for name in names:
        catalogue.parse_settings(name, _allowed(name, given) if any_of_them else given)


def _allowed(name: str, given: dict[str, Any]) -> dict[str, Any]:
    fields = catalogue.method(name).Settings.model_fields
    return {key: value for key, value in given.items() if key in fields}


def _too_long(
    task: Task, name: str, settings: dict[str, Any], ends: float, device: str | torch.device
) -> str | None:
    # One fit that hides a fold, and the final one.
    needed = 2 * expected_seconds(task, name, settings, str(device))
    left = max(ends - time.perf_counter(), 0.0)
    if needed == 0 or needed <= left:
        return None
    return f"skipped: it would take about {needed:.0f} s, and {left:.0f} s are left"


def _deliver(search: Search, best: Trial, wish: Wish, tried: tuple[Tried, ...]) -> Solution:
    """Fit the chosen method on all seen classes and place its rows."""
    task, ground = search.task, search.ground
    parsed = catalogue.parse_settings(best.method, best.settings)
    raw = catalogue.method(best.method).synthesize(
        task, parsed, device=search.device, progress=search.progress
    )
    centre_K = centre_of(ground, best.left_out)
    calibration, at, unseen = None, _nearest_scale(present_scale(ground, raw, centre_K)), raw
    if wish.calibrate:
        # A scale that the user gave is kept, and the estimate is read there.
        given = best.settings.get("scale")
        at = best.at if given is None else _nearest_scale(given)
        calibration = Calibration(SCALES[at] if given is None else given)
        unseen = place(ground, raw, centre_K, calibration)
    simulated = best.simulated
    return Solution(
        unseen=unseen,
        raw=raw,
        method=best.method,
        settings=parsed.model_dump(mode="json"),
        calibration=calibration,
        estimate=estimate(
            simulated, at, _reasons(search, wish, best), alone=len(task.unseen_class_names) == 1
        ),
        curve=_curve(simulated),
        outlook=look_ahead(task, ground, best.left_out, simulated.real.hits_ST[:, at], unseen),
        tried=tried,
    )


def _unsurveyed(
    task: Task,
    name: str,
    settings: dict[str, Any],
    device: str | torch.device,
    progress: Progress,
) -> Solution:
    """Solve a task that is too small to hide classes of, with the settings as they come."""
    parsed = catalogue.parse_settings(name, settings)
    raw = catalogue.method(name).synthesize(task, parsed, device=device, progress=progress)
    reason = (
        f"the head has {task.head.class_count} classes, and {SEEN_MIN} are the fewest of which "
        "some can be hidden: the rows are as the method makes them, their accuracy is unknown"
    )
    nothing = unknown(reason)
    dumped = parsed.model_dump(mode="json")
    tried = (Tried(name, dumped, nothing, 0.0, 1, None),)
    return Solution(raw, raw, name, dumped, None, nothing, (), (), tried)


def _line(task: Task, trial: Trial) -> Tried:
    expected = estimate(trial.simulated, trial.at, alone=len(task.unseen_class_names) == 1)
    return Tried(trial.method, trial.settings, expected, trial.seconds, trial.left_out.fits)


def _reasons(search: Search, wish: Wish, trial: Trial) -> tuple[str, ...]:
    """Say what the estimate rests on and what limits it."""
    task, reached = search.task, search.ground.real.head_accuracy
    unseen, T1 = len(task.unseen_class_names), float(trial.simulated.T1(trial.at).mean())
    reasons = ["estimated from the head and the class embeddings alone, without a picture"]
    if wish.seen_accuracy is None:
        reasons.append(
            f"the head is assumed to recognise {100 * ASSUMED_ACCURACY:.0f} % of pictures of its "
            "classes: give its real accuracy for a better estimate"
        )
    if abs(reached - (wish.seen_accuracy or ASSUMED_ACCURACY)) > UNREACHED:
        reasons.append(
            f"the virtual features let the head recognise {100 * reached:.0f} %, not what it is "
            "taken to: its rows are unlike those of a trained head, trust the figures less"
        )
    if trial.group_size < unseen:
        reasons.append(
            f"{unseen} classes are added, but only {trial.group_size} can be hidden at a time: "
            "the real T1 and u will be lower"
        )
    if unseen == 1:
        reasons.append("one new class: T1 is 1 by definition, u and s depend on which class it is")
    elif T1 * trial.group_size < NEAR_CHANCE:
        reasons.append(
            f"the class embeddings tell next to nothing about the rows: T1 {100 * T1:.1f} %, "
            f"chance is {100 / trial.group_size:.1f} %"
        )
    if wish.add_bias and task.head.bias is None:
        reasons.append("no bias was added: its size cannot be chosen without features")
    return tuple(reasons)


def _curve(simulated: Simulated) -> tuple[CurvePoint, ...]:
    points = []
    for at, scale in enumerate(SCALES):
        found = estimate(simulated, at)
        points.append(CurvePoint(scale, found.u.value, found.s.value, found.H.value))
    return tuple(points)


def _nearest_scale(scale: float) -> int:
    return min(range(len(SCALES)), key=lambda at: abs(SCALES[at] - scale))

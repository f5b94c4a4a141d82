"""Solves a task: tries methods, calibrates their rows, and picks by the expected accuracy.

Every choice comes from injecting seen classes that are hidden, and but for pictures of them that
the user gave it looks at none. It knows nothing of a method but its settings.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from pydantic import JsonValue

from headgraft.models import catalogue
from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import Pictures
from headgraft.models.heads.extend import split
from headgraft.models.heads.head import Head
from headgraft.models.method import Need, ParsedRows
from headgraft.models.progress import Progress
from headgraft.models.selection.calibrate import (
    Calibration,
    choose_shift,
    origin_of,
    place,
    present_scale,
    survey,
)
from headgraft.models.selection.caveats import reasons_for
from headgraft.models.selection.class_outlook import ClassOutlook, look_ahead
from headgraft.models.selection.estimate import Estimate, Prefer, Simulated, estimate, unknown
from headgraft.models.selection.search import Search, Trial
from headgraft.models.selection.trade_off import SCALES
from headgraft.models.task import Task

AUTO = "auto"
SMALL = "ridge"  # what "auto" is where nothing can be tried
SEEN_MIN = 5
NO_NUMBER = "no estimate: hiding old classes and adding them again gave no finite accuracy"


@dataclass(frozen=True)
class Wish:
    """What the user wants of the head.

    `seen_loss_points` is the most that seen accuracy may fall, in points of a hundred; it takes
    the place of `prefer`. `seen_accuracy` is the head's own accuracy in [0, 1] where known.
    `pictures` are labelled features of seen classes, which take the place of virtual ones.
    """

    prefer: Prefer = "balanced"
    seen_loss_points: float | None = None
    add_bias: bool = False
    budget_seconds: float = 10.0
    calibrate: bool = True
    seen_accuracy: float | None = None
    pictures: Pictures | None = None

    @property
    def seen_loss(self) -> float | None:
        """The most that seen accuracy may fall, in [0, 1]."""
        return None if self.seen_loss_points is None else self.seen_loss_points / 100


@dataclass(frozen=True)
class Tried:
    """One line of the table of candidates; `skipped` says why there is no estimate."""

    method: str
    settings: dict[str, JsonValue]
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

    `seen` is the head they extend: the task's own, unless the method was told to replace its rows.
    `curve` and `outlook` are empty where nothing could be hidden.
    """

    seen: Head
    unseen: Head
    raw: Head
    method: str
    settings: dict[str, JsonValue]
    calibration: Calibration | None
    estimate: Estimate
    curve: tuple[CurvePoint, ...]
    outlook: tuple[ClassOutlook, ...]
    tried: tuple[Tried, ...]


def solve(
    task: Task,
    method: str,
    settings: Mapping[str, JsonValue],
    wish: Wish,
    *,
    device: str | torch.device,
    progress: Progress,
) -> Solution:
    """Make the unseen rows with one method by name, or the best of all with "auto".

    Settings that are given stay; a given `scale` too. InjectionError for what the user caused,
    Stopped when told to stop.
    """
    if method == AUTO:
        candidates = _candidates(task, dict(settings))
    else:
        candidates = [catalogue.row_method(method).parse(settings)]
    return solve_by(candidates, task, wish, device=device, progress=progress)


def solve_by(
    candidates: Sequence[ParsedRows],
    task: Task,
    wish: Wish,
    *,
    device: str | torch.device,
    progress: Progress,
) -> Solution:
    """Make the unseen rows with the best of the candidates; see `solve`."""
    if task.head.class_count < SEEN_MIN:
        chosen = next((one for one in candidates if one.name == SMALL), candidates[0])
        return _unsurveyed(task, chosen, wish, _few(task), device, progress)
    progress(0.0, "calibrate")
    ground = survey(task.head, _own_accuracy(task, wish), wish.pictures)
    search = Search(task, ground, wish.prefer, wish.seen_loss, device, progress)
    ends = time.perf_counter() + wish.budget_seconds
    trials: list[Trial] = []
    tried: list[Tried] = []
    for candidate in candidates:
        skipped = _too_long(task, candidate, ends, device) if len(candidates) > 1 else None
        if skipped:
            tried.append(Tried(candidate.name, candidate.given, None, 0.0, 0, skipped))
            continue
        found = search.walk(candidate, ends, tune=wish.calibrate)
        trials.append(found[-1])
        tried += [_line(task, trial) for trial in found]
    if counting := [trial for trial in trials if trial.has_value]:
        return _deliver(search, max(counting, key=lambda trial: trial.value), wish, tuple(tried))
    made = _unsurveyed(task, trials[0].parsed, wish, NO_NUMBER, device, progress)
    return replace(made, tried=tuple(tried))


def _own_accuracy(task: Task, wish: Wish) -> float | None:
    """Return how right the head is known to be: by word, or by enough pictures."""
    all_S = torch.ones(task.head.class_count, dtype=torch.bool)
    if wish.seen_accuracy is None and wish.pictures and wish.pictures.suffice(all_S):
        return wish.pictures.head_accuracy
    return wish.seen_accuracy


def _candidates(task: Task, given: dict[str, JsonValue]) -> list[ParsedRows]:
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
    for key in given:
        if key not in legal:
            raise InjectionError(
                f"no method that fits this task has a setting {key!r}; "
                f"they have: {', '.join(sorted(legal))}",
                code="invalid_settings",
                pointer=f"/settings/{key}",
            )
    ordered = sorted(
        fitting, key=lambda method: (method.parse({}).expected_seconds(task, "cpu"), method.name)
    )
    return [
        method.parse({key: given[key] for key in given if key in method.settings.model_fields})
        for method in ordered
    ]


def _too_long(
    task: Task, candidate: ParsedRows, ends: float, device: str | torch.device
) -> str | None:
    # One fit that hides a fold, and the final one.
    needed = 2 * candidate.expected_seconds(task, device)
    left = max(ends - time.perf_counter(), 0.0)
    if needed == 0 or needed <= left:
        return None
    return f"skipped: it would take about {needed:.0f} s, and {left:.0f} s are left"


def _deliver(search: Search, best: Trial, wish: Wish, tried: tuple[Tried, ...]) -> Solution:
    """Fit the chosen method on all seen classes and place its rows."""
    task, ground = search.task, search.ground
    made = best.parsed.synthesize(task, device=search.device, progress=search.progress)
    seen, raw = split(task.head, made)
    if seen is not task.head:
        ground = ground.replacing(seen)
    origin = origin_of(ground, best.left_out)
    calibration, simulated, unseen = None, best.simulated, raw
    at = _nearest_scale(present_scale(ground, raw, origin))
    if wish.calibrate:
        calibration, simulated, at = _calibrate(search, best, wish)
        calibration = replace(calibration, equal_distance=origin.length is None)
        unseen = place(ground, raw, origin, calibration)
    reasons = reasons_for(search, best, simulated, add_bias=wish.add_bias)
    return Solution(
        seen=seen,
        unseen=unseen,
        raw=raw,
        method=best.parsed.name,
        settings=best.parsed.dump,
        calibration=calibration,
        estimate=estimate(simulated, at, reasons, unseen=len(task.unseen_class_names)),
        curve=_curve(simulated),
        outlook=look_ahead(task, ground, best.left_out, simulated.played.hits_ST[:, at], unseen),
        tried=tried,
    )


def _calibrate(search: Search, best: Trial, wish: Wish) -> tuple[Calibration, Simulated, int]:
    """Choose scale and, where pictures tell, shift; with the play and the scale's number there."""
    # A scale that the user gave is kept, and the estimate is read there.
    given = best.parsed.given.get("scale")
    if given is not None:
        return Calibration(given), best.simulated, _nearest_scale(given)
    if not best.simulated.pictures or search.task.head.bias is None:
        return Calibration(SCALES[best.at]), best.simulated, best.at
    unseen = len(search.task.unseen_class_names)
    shift, simulated, at = choose_shift(
        search.ground, best.left_out, unseen, wish.prefer, wish.seen_loss
    )
    return Calibration(SCALES[at], bias_shift=shift), simulated, at


def _unsurveyed(
    task: Task,
    parsed: ParsedRows,
    wish: Wish,
    reason: str,
    device: str | torch.device,
    progress: Progress,
) -> Solution:
    """Solve a task of which no class can be hidden, for a reason, with the settings as given."""
    seen, raw = split(task.head, parsed.synthesize(task, device=device, progress=progress))
    reason = f"{reason}: the rows are as the method makes them, their accuracy is unknown"
    nothing = unknown(f"{reason}, labelled features were not used" if wish.pictures else reason)
    tried = (Tried(parsed.name, parsed.dump, nothing, 0.0, 1, None),)
    return Solution(seen, raw, raw, parsed.name, parsed.dump, None, nothing, (), (), tried)


def _few(task: Task) -> str:
    return (
        f"the head has {task.head.class_count} classes, and {SEEN_MIN} are the fewest of which "
        "some can be hidden"
    )


def _line(task: Task, trial: Trial) -> Tried:
    parsed, fits = trial.parsed, trial.left_out.fits
    if not trial.has_value:
        return Tried(parsed.name, parsed.given, None, trial.seconds, fits, NO_NUMBER)
    expected = estimate(trial.simulated, trial.at, unseen=len(task.unseen_class_names))
    return Tried(parsed.name, parsed.given, expected, trial.seconds, fits)


def _curve(simulated: Simulated) -> tuple[CurvePoint, ...]:
    return tuple(CurvePoint(scale, *simulated.expected(at)) for at, scale in enumerate(SCALES))


def _nearest_scale(scale: float) -> int:
    return min(range(len(SCALES)), key=lambda at: abs(SCALES[at] - scale))

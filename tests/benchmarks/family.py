"""Runs one method over folds and seeds of the Lite0 head, raw and calibrated, in its own process.

It does not know which methods there are. A process of its own makes the peak memory its own.
"""

import multiprocessing
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from headgraft.models import catalogue
from headgraft.models.heads.head import Head
from headgraft.models.metrics import Gzsl
from headgraft.models.progress import Progress
from headgraft.models.selection.solve import AUTO, Preferences, solve
from headgraft.models.task import Task
from tests.benchmarks.data import Lite0, read_embeddings, read_lite0
from tests.benchmarks.lite0 import make_task, score
from tests.models.builders import candidates_of

NO_LIMIT = 36_000.0  # seconds: the budget must not decide what is measured


@dataclass(frozen=True)
class Plan:
    """What is run: a method on some folds and seeds, with `seen` classes kept (0: all)."""

    method: str
    embedding: str
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    calibrated: bool = True
    seen: int = 0


@dataclass(frozen=True)
class Measured:
    """The scores of every run, raw and calibrated, seconds of each raw fit, peak in GiB."""

    raw: tuple[Gzsl, ...]
    calibrated: tuple[Gzsl, ...]
    seconds: tuple[float, ...]
    peak_gib: float


def measure(folder: Path, plan: Plan) -> Measured:
    """Run a plan in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (folder, plan))


def _measure(folder: Path, plan: Plan) -> Measured:
    data, embeddings_CA = read_lite0(folder), read_embeddings(folder, plan.embedding)
    before = _peak_gib()
    raw, calibrated, seconds = [], [], []
    for fold in plan.folds:
        unseen_C = data.folds[fold]
        for seed in plan.seeds if seeded(plan.method) else (0,):
            task = fewer(make_task(data, unseen_C, embeddings_CA), plan.seen, seed)
            settings = plan.settings | ({"seed": seed} if seeded(plan.method) else {})
            if plan.method != AUTO:
                began = time.perf_counter()
                head = _synthesize(task, plan.method, _as_published(plan.method) | settings)
                seconds.append(time.perf_counter() - began)
                raw.append(score_kept(data, unseen_C, task.head, head))
            if plan.calibrated:
                head = _calibrate(task, plan.method, settings)
                calibrated.append(score_kept(data, unseen_C, task.head, head))
    return Measured(tuple(raw), tuple(calibrated), tuple(seconds), _peak_gib() - before)


def seeded(method: str) -> bool:
    """Tell whether a method draws anything."""
    return method != AUTO and "seed" in catalogue.method(method).settings.model_fields


def fewer(task: Task, seen: int, seed: int) -> Task:
    """Keep so many seen classes, drawn by the seed; 0 keeps all."""
    if not seen or seen >= task.head.class_count:
        return task
    generator = torch.Generator().manual_seed(seed)
    kept_S = torch.randperm(task.head.class_count, generator=generator)[:seen].sort().values
    head = task.head
    smaller = Head(
        head.weight[kept_S],
        None if head.bias is None else head.bias[kept_S],
        tuple(head.class_names[index] for index in kept_S.tolist()),
    )
    return Task(
        smaller,
        task.class_embeddings_SA[kept_S],
        task.unseen_class_embeddings_UA,
        task.unseen_class_names,
    )


def score_kept(data: Lite0, unseen_C: Tensor, seen: Head, unseen: Head) -> Gzsl:
    """Score a head on the pictures of its own seen classes, kept by name, and the unseen ones."""
    kept = {int(name.split(" ", 1)[0]) for name in seen.class_names}
    has_row_C = torch.tensor([number in kept for number in range(len(unseen_C))]) | unseen_C
    if bool(has_row_C.all()):
        return score(data, unseen_C, seen, unseen)
    shown_N = has_row_C[data.labels_N]
    renumbered_C = has_row_C.cumsum(0) - 1
    smaller = Lite0(
        data.weight_CD[has_row_C],
        data.bias_C[has_row_C],
        tuple(name for name, has in zip(data.class_names, has_row_C, strict=True) if has),
        data.features_ND[shown_N],
        renumbered_C[data.labels_N[shown_N]],
        (),
    )
    return score(smaller, unseen_C[has_row_C], seen, unseen)


def _synthesize(task: Task, method: str, settings: dict[str, Any]) -> Any:
    parsed = catalogue.method(method).parse(settings)
    return parsed.synthesize(task, device="cpu", progress=Progress())


def _calibrate(task: Task, method: str, settings: dict[str, Any]) -> Any:
    if method != AUTO and getattr(catalogue.method(method), "HEAD", "linear") != "linear":
        return _synthesize(task, method, settings)  # it calibrates itself
    preferences = Preferences(budget_seconds=NO_LIMIT)
    return solve(
        task, candidates_of(task, method, settings), preferences, device="cpu", progress=Progress()
    ).unseen


def _as_published(method: str) -> dict[str, Any]:
    """Return the settings under which a method's own calibration is off."""
    return {"unseen_offset": 0.0} if method == "conse" else {}


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def cell(scores: Sequence[Gzsl], key: str) -> str:
    """Write a figure's mean in per cent with its standard deviation, e.g. `70.1 ± 0.6`."""
    values = [100 * float(getattr(one, key)) for one in scores]
    if not values:
        return ""
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")

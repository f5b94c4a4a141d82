"""Accuracy of methods on heads over CLIP ViT-B/32 features: 800 seen, 200 unseen classes.

It does not know how a method works. The heads: logistic regression on four pictures a class; three
others measure. Class embeddings: CLIP's own text features. Needs HEADGRAFT_BENCH_DATA; two cores:
    python -m tests.benchmarks.clip_b32                        all methods, five folds
    python -m tests.benchmarks.clip_b32 --folds 0-1 --methods ridge,auto --metric linear
    python -m tests.benchmarks.clip_b32 --virtual              features made from the head alone
`clip` is no method: CLIP's text rows for seen classes, too. What stands in brackets was chosen in
hindsight, on the pictures that measure.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from headgraft.models import catalogue
from headgraft.models.features.labelled import calibration_features
from headgraft.models.heads.extend import inject, split
from headgraft.models.heads.head import Head, Metric
from headgraft.models.metrics import Gzsl, evaluate
from headgraft.models.progress import Progress
from headgraft.models.selection.solve import AUTO, Preferences, solve
from headgraft.models.task import Task
from tests.benchmarks.clip_heads import (
    ClipFold,
    clip_task,
    measured_on,
    own_accuracy,
    read_clip_folds,
)
from tests.benchmarks.clip_virtual import print_virtual
from tests.benchmarks.data import bench_folder, read_embeddings
from tests.benchmarks.family import NO_LIMIT, cell
from tests.models.builders import candidates_of

TEXT = "clip_vit_b32_text"
CLIP = "clip"  # the text rows for all classes
HINDSIGHT = tuple(0.5 * 1.1**step for step in range(24))
METHODS = (CLIP, "clip_text", "ridge", "icis", "dfzsl", AUTO)
HEADER = """| {} head | T1 | u raw | s raw | H raw | u | s | H | base-to-new | seconds |
|---|---|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Run:
    """A method on a fold: rows as it makes them, calibrated without pictures, and best in length.

    `seconds` are those of one raw fit.
    """

    raw: Gzsl | None
    calibrated: Gzsl | None
    hindsight: float | None
    seconds: float


def run(
    fold: ClipFold, task: Task, method: str, settings: dict[str, Any], preferences: Preferences
) -> Run:
    """Inject a fold's unseen classes with one method and measure the extended head."""
    if method == CLIP:
        return Run(measure(fold, text_head(task)), None, None, 0.0)
    raw, seconds = None, 0.0
    if method != AUTO:
        parsed = catalogue.row_method(method).parse(settings)
        began = time.perf_counter()
        raw = parsed.synthesize(task, device="cpu", progress=Progress())
        seconds = time.perf_counter() - began
    solution = solve(
        task, candidates_of(task, method, settings), preferences, device="cpu", progress=Progress()
    )
    return Run(
        None if raw is None else measure(fold, inject(*split(task.head, raw))),
        measure(fold, inject(solution.seen, solution.unseen)),
        None
        if raw is None
        else max(measure(fold, one).H for one in _scaled(*split(task.head, raw))),
        seconds,
    )


def measure(fold: ClipFold, head: Head) -> Gzsl:
    """Score a head of all classes, seen first, on the fold's test features."""
    features_ND, labels_N = measured_on(fold)
    return evaluate(head, features_ND, labels_N, torch.arange(head.class_count) >= len(fold.seen))


def text_head(task: Task) -> Head:
    """Return the class embeddings of all classes as rows, seen first."""
    texts_CA = torch.cat([task.class_embeddings_SA, task.unseen_class_embeddings_UA])
    return Head(texts_CA, None, task.head.class_names + task.unseen_class_names, "cosine")


def with_pictures(fold: ClipFold, task: Task) -> Task:
    """Give a task the four pictures a class that its head was trained on."""
    labels_N = torch.arange(len(fold.seen)).repeat_interleave(fold.training_S4D.shape[1])
    return replace(
        task, features=calibration_features(task.head, fold.training_S4D.flatten(0, 1), labels_N)
    )


def _scaled(seen: Head, unseen: Head) -> list[Head]:
    return [
        inject(seen, unseen.with_rows(scale * unseen.rows, unseen.class_names))
        for scale in (HINDSIGHT if seen.metric == "linear" else (1.0,))
    ]


def line(method: str, runs: Sequence[Run]) -> str:
    """Write a table's line: means over the folds with their spread."""
    raw = [one.raw for one in runs if one.raw]
    calibrated = [one.calibrated for one in runs if one.calibrated]
    best = [one.hindsight for one in runs if one.hindsight is not None]
    cells = [cell(raw or calibrated, "T1"), *(cell(raw, key) for key in ("u", "s", "H"))]
    cells[-1] += f" [{100 * mean(best):.1f}]" if best else ""
    cells += [cell(calibrated, key) for key in ("u", "s", "H")]
    cells.append(cell(calibrated or raw, "base_to_new"))
    return f"| `{method}` | {' | '.join(cells)} | {mean(one.seconds for one in runs):.1f} |"


def each_fold(folder: Path, numbers: Sequence[int], metric: Metric) -> list[tuple[ClipFold, Task]]:
    """Return folds by their numbers, each with its task."""
    texts_CA, folds = read_embeddings(folder, TEXT), read_clip_folds(folder)
    return [(folds[one], clip_task(folder, folds[one], texts_CA, metric)) for one in numbers]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.clip_b32")
    parser.add_argument("--folds", default="0-4", help="a range")
    parser.add_argument("--methods", default=",".join(METHODS), help="joined by a comma")
    parser.add_argument("--metric", choices=("cosine", "linear"), default="cosine")
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON, for every method")
    parser.add_argument("--known-accuracy", action="store_true", help="tell how right the head is")
    parser.add_argument("--features", action="store_true", help="train on the head's own pictures")
    parser.add_argument("--virtual", action="store_true", help="measure virtual features")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Measure the methods of the command line, one line each."""
    options, folder = parse(arguments), bench_folder()
    if folder is None:
        print("skipped: HEADGRAFT_BENCH_DATA is not set")
        return
    first, _, last = options.folds.partition("-")
    cases = each_fold(folder, range(int(first), int(last or first) + 1), options.metric)
    if options.virtual:
        print_virtual(cases)
        return
    if options.features:
        cases = [(fold, with_pictures(fold, task)) for fold, task in cases]
    print(HEADER.format(options.metric))
    for method in options.methods.split(","):
        runs = []
        for fold, task in cases:
            told = own_accuracy(fold, task.head) if options.known_accuracy else None
            preferences = Preferences(seen_accuracy=told, budget_seconds=NO_LIMIT)
            runs.append(run(fold, task, method, options.settings, preferences))
        print(line(method, runs), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

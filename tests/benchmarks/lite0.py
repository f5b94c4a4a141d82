"""Accuracy of a method on EfficientNet-Lite0's real ImageNet head: 900 seen, 100 unseen classes.

It does not know how a method works; `--method auto` calibrates, without a picture.
Needs HEADGRAFT_BENCH_DATA; two cores, ridge 0.2 s a fold, auto 2 s:
    python -m tests.benchmarks.lite0 --method ridge --embedding clip_vit_b32_text
    expect T1 80.1 u 76.1 s 69.0 H 72.3
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from headgraft.models import catalogue
from headgraft.models.heads.extend import inject
from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import equal_distance
from headgraft.models.heads.semantic import SemanticHead
from headgraft.models.metrics import Gzsl, evaluate
from headgraft.models.progress import Progress
from headgraft.models.selection.solve import AUTO, Preferences, solve
from headgraft.models.task import Task
from tests.benchmarks.data import Lite0, bench_folder, read_embeddings, read_lite0
from tests.benchmarks.texts import encode_texts
from tests.models.builders import candidates_of

CALIBRATED_SCALE = 1.4


@dataclass(frozen=True)
class Run:
    """One method on one fold: as it comes, and with its rows at equal distance from the mean."""

    raw: Gzsl
    calibrated: Gzsl
    seconds: float


def run_fold(
    data: Lite0, unseen_C: Tensor, embeddings_CA: Tensor, method: str, settings: dict[str, Any]
) -> Run:
    """Inject one fold's unseen classes and score the extended head on the real pictures."""
    task = make_task(data, unseen_C, embeddings_CA)
    began = time.perf_counter()
    unseen = _synthesize(task, method, settings)
    seconds = time.perf_counter() - began
    rows_UK = equal_distance(unseen.rows, task.head.rows, CALIBRATED_SCALE)
    calibrated = task.head.with_rows(rows_UK, unseen.class_names)
    return Run(
        score(data, unseen_C, task.head, unseen),
        score(data, unseen_C, task.head, calibrated),
        seconds,
    )


def _synthesize(task: Task, method: str, settings: dict[str, Any]) -> Head:
    if method == AUTO:
        return solve(
            task,
            candidates_of(task, AUTO, settings),
            Preferences(),
            device="cpu",
            progress=Progress(),
        ).unseen
    parsed = catalogue.row_method(method).parse(settings)
    return parsed.synthesize(task, device="cpu", progress=Progress())


def make_task(data: Lite0, unseen_C: Tensor, embeddings_CA: Tensor) -> Task:
    """Hide the unseen classes of a fold from the head."""
    # Two ImageNet names stand twice, so a class is known by its number too.
    names = [f"{index} {name}" for index, name in enumerate(data.class_names)]
    seen_names = tuple(name for name, hidden in zip(names, unseen_C, strict=True) if not hidden)
    unseen_names = tuple(name for name, hidden in zip(names, unseen_C, strict=True) if hidden)
    head = Head(data.weight_CD[~unseen_C], data.bias_C[~unseen_C], seen_names)
    return Task(head, embeddings_CA[~unseen_C], embeddings_CA[unseen_C], unseen_names)


def score(data: Lite0, unseen_C: Tensor, seen: Head, unseen: Head | SemanticHead) -> Gzsl:
    """Score a seen head with its injected rows, or a head of a kind of its own, on the pictures."""
    seen_count = seen.class_count
    new_number_C = torch.empty(len(unseen_C), dtype=torch.long)
    new_number_C[~unseen_C] = torch.arange(seen_count)
    new_number_C[unseen_C] = torch.arange(seen_count, len(unseen_C))
    is_new_C = torch.arange(len(unseen_C)) >= seen_count
    extended = inject(seen, unseen) if isinstance(unseen, Head) else unseen
    return evaluate(extended, data.features_ND, new_number_C[data.labels_N], is_new_C)


def run_folds(
    folder: Path,
    embeddings_CA: Tensor,
    method: str,
    settings: dict[str, Any],
    folds: int,
    seeds: int,
) -> list[Run]:
    """Run a method over the first folds, and over seeds where the method has one."""
    data = read_lite0(folder)
    seeded = method != AUTO and "seed" in catalogue.method(method).settings.model_fields
    return [
        run_fold(
            data, unseen_C, embeddings_CA, method, {**settings, **({"seed": s} if seeded else {})}
        )
        for unseen_C in data.folds[:folds]
        for s in range(seeds if seeded else 1)
    ]


def report_line(scores: Sequence[Gzsl], seconds: float) -> str:
    """Write the means in per cent, e.g. `T1 80.1 u 76.1 s 69.0 H 72.3, 0.11 s a fold`."""
    parts = (
        f"{key} {100 * mean(getattr(one, key) for one in scores):.1f}"
        for key in ("T1", "u", "s", "H")
    )
    return f"{' '.join(parts)}, {seconds:.2f} s a fold"


def _print_method(method: str, runs: Sequence[Run]) -> None:
    raw = [run.raw for run in runs]
    seconds = mean(run.seconds for run in runs)
    print(f"{method}: {len(runs)} runs")
    if len(runs) > 1:
        spread = (
            f"{key} {100 * stdev(getattr(one, key) for one in raw):.1f}"
            for key in ("T1", "u", "s", "H", "base_to_new")
        )
        print(f"standard deviation {' '.join(spread)}")
    print(f"base-to-new per image {100 * mean(one.base_to_new for one in raw):.1f}")
    scaled = report_line([run.calibrated for run in runs], seconds)
    print(f"with rows at {CALIBRATED_SCALE} of the mean distance: {scaled}")
    print(report_line(raw, seconds))


def move_starts(factor: float) -> None:
    """Multiply every value from which a search of settings starts, in this process."""
    for name in catalogue.names():
        method = catalogue.method(name)
        moved = {
            key: tuple(factor * value for value in line) for key, line in method.tunable.items()
        }
        object.__setattr__(method, "tunable", moved)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.lite0")
    parser.add_argument("--method", default="ridge", help="one or more, joined by a comma")
    parser.add_argument("--embedding", default="clip_vit_b32_text", help="joined by +")
    parser.add_argument("--encoder", help="encode --texts instead of reading --embedding")
    parser.add_argument("--texts", choices=("names", "gloss", "kinds"), default="names")
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON")
    parser.add_argument(
        "--start-factor", type=float, default=1.0, help="moves every value auto starts from"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Measure the methods of the command line, one result line each."""
    options, folder = parse(arguments), bench_folder()
    move_starts(options.start_factor)
    if folder is None:
        print("skipped: HEADGRAFT_BENCH_DATA is not set")
        return
    if options.encoder:
        embeddings_CA = encode_texts(folder, options.encoder, options.texts)
    else:
        embeddings_CA = read_embeddings(folder, options.embedding)
    for method in options.method.split(","):
        runs = run_folds(
            folder, embeddings_CA, method, options.settings, options.folds, options.seeds
        )
        _print_method(method, runs)


if __name__ == "__main__":
    main(sys.argv[1:])

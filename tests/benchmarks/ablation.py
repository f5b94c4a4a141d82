"""What each stage of dfzsl is worth on heads over CLIP features, old rows kept and replaced.

It does not know how a stage works. Expected H is what calibration saw, without a picture: it is
what defaults were chosen by. Needs HEADGRAFT_BENCH_DATA; about 20 s a line and fold on two cores:
    python -m tests.benchmarks.ablation --folds 0-1
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

from headgraft.models.heads.extend import inject
from headgraft.models.methods.dfzsl.settings import CONSTANTS, DfzslConstants
from headgraft.models.metrics import Gzsl
from headgraft.models.progress import Progress
from headgraft.models.selection.solve import Preferences, solve
from headgraft.models.task import Task
from tests.benchmarks.clip_b32 import each_fold, measure
from tests.benchmarks.clip_heads import ClipFold
from tests.benchmarks.constants import constants_as
from tests.benchmarks.data import bench_folder
from tests.benchmarks.family import cell
from tests.models.builders import candidates_of

USUAL = CONSTANTS["default"]
TUNED = "text tuned in embedding space"
VARIANTS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "every draw kept": {"filter_by_head": False},
    TUNED: {},
    "TF-VAEGAN, 2 x 50 steps": {"generator": "tfvaegan"},
    "no logit adjustment": {"adjust": False},
}
HEADER = """| {} | T1 | u | s | H | expected H | seconds |
|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Line:
    """One variant on one fold; seconds of both fits and the calibration."""

    real: Gzsl
    expected: float
    seconds: float


def run(fold: ClipFold, task: Task, settings: dict[str, Any]) -> Line:
    """Inject a fold's classes with dfzsl, calibrated without a picture, and measure."""
    began = time.perf_counter()
    solution = solve(
        task,
        candidates_of(task, "dfzsl", settings),
        Preferences(),
        device="cpu",
        progress=Progress(),
    )
    seconds = time.perf_counter() - began
    real = measure(fold, inject(solution.seen, solution.unseen))
    return Line(real, solution.estimate.H.value, seconds)


def constants_of(variant: str) -> DfzslConstants:
    """Return the constants of a variant: the default ones, but for the tuning of embeddings."""
    if variant != TUNED:
        return USUAL
    return replace(USUAL, embedding_tuning=replace(USUAL.embedding_tuning, steps=24))


def main(arguments: Sequence[str]) -> None:
    """Print one table with old rows kept, one with all rows replaced."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ablation")
    parser.add_argument("--folds", default="0-1", help="a range")
    parser.add_argument("--metric", choices=("cosine", "linear"), default="linear")
    options, folder = parser.parse_args(arguments), bench_folder()
    if folder is None:
        print("skipped: HEADGRAFT_BENCH_DATA is not set")
        return
    first, _, last = options.folds.partition("-")
    cases = each_fold(folder, range(int(first), int(last or first) + 1), options.metric)
    for replace_seen in (False, True):
        print(HEADER.format("all rows replaced" if replace_seen else "old rows kept"))
        for name, settings in VARIANTS.items():
            wanted = {"replace_seen": replace_seen, **settings}
            with constants_as(CONSTANTS, "default", constants_of(name)):
                lines = [run(fold, task, wanted) for fold, task in cases]
            cells = [cell([one.real for one in lines], key) for key in ("T1", "u", "s", "H")]
            cells.append(f"{100 * mean(one.expected for one in lines):.1f}")
            cells.append(f"{mean(one.seconds for one in lines):.0f}")
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Accuracy of conse on the real ImageNet head: 900 seen, 100 unseen classes; no picture chooses.

Needs HEADGRAFT_BENCH_DATA; 2 s a line on two cores:
    python -m tests.benchmarks.semantic --embedding clip_vit_b32_text
    expect T1 62.2 u 58.3 s 64.1 H 60.9; without the offset u 0.6 s 88.5 H 1.2
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import torch

from headgraft.models.heads.semantic import SemanticHead
from headgraft.models.methods.conse import method
from headgraft.models.metrics import Gzsl, evaluate
from headgraft.models.progress import Progress
from tests.benchmarks.data import bench_folder
from tests.benchmarks.lite0 import report_line
from tests.benchmarks.population import Case, cases

OFFSETS = tuple(0.04 * step for step in range(25))


def main(arguments: Sequence[str]) -> None:
    """Print what the chosen offset gives, none at all, and the best one in hindsight."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.semantic")
    parser.add_argument("--embedding", default="clip_vit_b32_text")
    parser.add_argument("--folds", type=int, default=10)
    options, folder = parser.parse_args(arguments), bench_folder()
    if folder is None:
        print("skipped: HEADGRAFT_BENCH_DATA is not set")
        return
    for centre in (True, False):
        settings = method.ConseSettings(centre=centre)
        _measure(folder, options.embedding, options.folds, settings)


def _measure(folder: Path, embedding: str, folds: int, settings: method.ConseSettings) -> None:
    chosen, plain, best, seconds = [], [], [], []
    for case in cases(folder, "lite0", embedding, range(folds)):
        began = time.perf_counter()
        head = method.synthesize(case.task, settings, device="cpu", progress=Progress())
        seconds.append(time.perf_counter() - began)
        chosen.append(_score(case, head, head.unseen_offset))
        plain.append(_score(case, head, 0.0))
        best.append(max(_score(case, head, offset).H for offset in OFFSETS))
    print(f"{embedding}, centre {settings.centre}, {folds} folds")
    print(f"chosen offset: {report_line(chosen, mean(seconds))}")
    print(f"without: {report_line(plain, mean(seconds))}")
    print(f"best offset in hindsight: H {100 * mean(best):.1f}")


def _score(case: Case, head: SemanticHead, offset: float) -> Gzsl:
    moved = dataclasses.replace(head, unseen_offset=offset)
    is_new_C = torch.arange(head.class_count) >= head.seen.class_count
    return evaluate(moved, case.features_ND, case.labels_N, is_new_C)


if __name__ == "__main__":
    main(sys.argv[1:])

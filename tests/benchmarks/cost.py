"""Time and memory of calibration; it looks at no picture.

    python -m tests.benchmarks.cost                 900 + 100 classes, D = 1280, and plain fits
    python -m tests.benchmarks.cost --grow          2,000 to 20,000 classes, synthetic
    python -m tests.benchmarks.cost --plain ridge,icis    one fit each on 10,000 classes

Each size runs in a process of its own, so that its peak memory is its own.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from math import log

import torch
from torch.nn.functional import normalize

from headgraft.models import catalogue
from headgraft.models.heads.head import Head
from headgraft.models.methods import ridge
from headgraft.models.progress import Progress
from headgraft.models.selection.solve import Preferences, solve
from headgraft.models.task import Task
from tests.models.builders import candidates_of

SIZES = (2000, 5000, 10_000, 20_000)
PLAIN_SEEN = 10_000
UNSEEN = 100


def synthetic_task(seen: int, features: int, size: int) -> Task:
    """Make a head whose rows follow, in part, from random class embeddings."""
    generator = torch.Generator().manual_seed(0)
    causes = torch.randn(seen + UNSEEN, size, generator=generator)
    mix = torch.randn(size, features, generator=generator) / size**0.5
    rows = normalize(causes @ mix + torch.randn(seen + UNSEEN, features, generator=generator))
    names = [f"class {index}" for index in range(seen + UNSEEN)]
    head = Head(rows[:seen], None, tuple(names[:seen]))
    return Task(head, causes[:seen], causes[seen:], tuple(names[seen:]))


def measure(seen: int, features: int, size: int) -> tuple[float, float, float, int]:
    """Return seconds of a whole solution and of one plain fit, peak GiB, and leave-out rounds."""
    task = synthetic_task(seen, features, size)
    began = time.perf_counter()
    ridge.synthesize(task, ridge.RidgeSettings(), device="cpu", progress=Progress())
    plain = time.perf_counter() - began
    began = time.perf_counter()
    # A budget that never cuts: what is measured is the whole search.
    preferences = Preferences(budget_seconds=3600)
    solution = solve(
        task, candidates_of(task, "ridge", {}), preferences, device="cpu", progress=Progress()
    )
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return seconds, plain, peak, len(solution.tried)


def measure_plain(method: str, seen: int, features: int, size: int) -> tuple[float, float]:
    """Return seconds and peak GiB of one fit with default settings."""
    task = synthetic_task(seen, features, size)
    parsed = catalogue.method(method).parse({})
    began = time.perf_counter()
    parsed.synthesize(task, device="cpu", progress=Progress())
    seconds = time.perf_counter() - began
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _print_plain(methods: Sequence[str], features: int, size: int) -> None:
    for method in methods:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, peak = pool.apply(measure_plain, (method, PLAIN_SEEN, features, size))
        print(
            f"{method}, {PLAIN_SEEN} + {UNSEEN} classes, D {features}, A {size}: {seconds:.1f} s, "
            f"peak memory {peak:.1f} GiB",
            flush=True,
        )


def _in_own_process(seen: int, features: int, size: int) -> tuple[float, float, float, int]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (seen, features, size))


def main(arguments: Sequence[str]) -> None:
    """Print one line a size, and the exponent between the sizes."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.cost")
    parser.add_argument("--grow", action="store_true")
    parser.add_argument("--plain", help="methods, joined by commas")
    options = parser.parse_args(arguments)
    if options.plain:
        _print_plain(options.plain.split(","), 1024, 300)
        return
    sizes = SIZES if options.grow else (900,)
    features, size = (1024, 300) if len(sizes) > 1 else (1280, 512)
    spent = {}
    for seen in sizes:
        seconds, plain, peak, rounds = _in_own_process(seen, features, size)
        spent[seen] = seconds
        print(
            f"{seen} + {UNSEEN} classes, D {features}, A {size}: {seconds:.2f} s "
            f"({rounds} candidates), {seconds / plain:.1f} plain fits of {plain:.2f} s, "
            f"peak memory {peak:.2f} GiB",
            flush=True,
        )
    for small, large in pairwise(sizes):
        exponent = log(spent[large] / spent[small]) / log(large / small)
        print(f"exponent from {small} to {large}: {exponent:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])

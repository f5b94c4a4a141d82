"""The published zero-shot protocol on CUB, AWA2 and SUN, from picture features to T1, u, s and H.

Needs HEADGRAFT_XLSA17, a folder with CUB, AWA2 and SUN, each with res101.mat and att_splits.mat:
    python -m tests.benchmarks.protocol [--sets CUB,AWA2] [--methods ridge,icis]
Trains the seen head as the ICIS paper does, injects the unseen classes by their attributes with
every method, raw with its paper's settings and calibrated without a picture, and prints the paper's
figures beside. Theirs are on fine-tuned features: put those under the name res101.mat to compare.
No picture of a test split enters any choice. Rows that kept much of their random start look like
noise to a calibration that sees no picture: `--tell accuracy` helps, `--tell pictures` more.
The seen head takes minutes a data set on one core (1.5 to 5 s an epoch, 100 epochs);
`--device cuda` is for that and for the methods.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from headgraft.models import catalogue
from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import (
    CalibrationFeatures,
    NamedFeatures,
    calibration_features,
)
from headgraft.models.heads.extend import inject
from headgraft.models.heads.head import Head
from headgraft.models.heads.protocol import NativeHead
from headgraft.models.learners import row_mlp
from headgraft.models.methods.icis import settings as icis
from headgraft.models.progress import Progress
from headgraft.models.selection.solve import AUTO, Preferences, solve
from headgraft.models.task import Task
from tests.benchmarks import base_classifier
from tests.benchmarks.xlsa17_sets import Benchmark, make_task, read_benchmark, score
from tests.models.builders import candidates_of

Tell = Literal["nothing", "accuracy", "pictures"]
SETS = ("CUB", "AWA2", "SUN")
COLUMNS = ("T1", "u", "s", "H", "base_to_new")
# T1, u, s and H in per cent.
PUBLISHED = {
    ("icis", "CUB"): (60.6, 45.8, 73.7, 56.5),
    ("icis", "AWA2"): (64.6, 35.6, 93.3, 51.6),
    ("icis", "SUN"): (51.8, 45.2, 25.6, 32.7),
}
# What the defaults of a method have improved on its paper is taken back.
PAPER_SETTINGS: dict[str, dict[str, Any]] = {
    "conse": {"unseen_offset": 0.0},
    "icis": {"centre": False},
    "wavg": {"rescale": "release"},
    "smo": {"rescale": "release"},
}


@dataclass(frozen=True)
class Line:
    """One line of the table: figures in per cent, as many as are known."""

    label: str
    figures: tuple[float, ...] = ()
    remark: str = ""

    def __str__(self) -> str:
        missing = ("-",) * (len(COLUMNS) - len(self.figures))
        cells = (*(f"{figure:.1f}" for figure in self.figures), *missing)
        return (
            f"  {self.label:<22}{''.join(f'{cell:>7}' for cell in cells)}  {self.remark}".rstrip()
        )


def measure(
    benchmark: Benchmark,
    head: Head,
    method: str,
    preferences: Preferences,
    device: str,
    features: CalibrationFeatures | None = None,
) -> Iterator[Line]:
    """Yield what is known of a method: the published figures, raw, and calibrated."""
    yield Line(f"{method} published", PUBLISHED.get((method, benchmark.name), ()))
    task = replace(make_task(benchmark, head), features=features)
    needs = frozenset() if method == AUTO else catalogue.method(method).needs
    if needs:
        yield Line(method, (), f"left out: it needs {', '.join(sorted(needs))}")
        return
    for kind in ("calibrated",) if method == AUTO else ("raw", "calibrated"):
        began = time.perf_counter()
        try:
            whole = _extend(task, method, preferences if kind == "calibrated" else None, device)
        except InjectionError as error:
            yield Line(f"{method} {kind}", (), str(error))
            continue
        seconds = time.perf_counter() - began
        found = score(benchmark, whole)
        figures = tuple(100 * getattr(found, key) for key in COLUMNS)
        yield Line(f"{method} {kind}", figures, f"{seconds:.1f} s")


def _extend(
    task: Task, method: str, preferences: Preferences | None, device: str
) -> Head | NativeHead:
    """Return the head of all classes, calibrated if there is a wish, else as the paper has it."""
    progress = Progress()
    given = {} if preferences else paper_settings(method)
    if preferences and (method == AUTO or catalogue.method(method).head == "rows"):
        found = solve(
            task, candidates_of(task, method, given), preferences, device=device, progress=progress
        )
        return inject(task.head, found.unseen)
    made = catalogue.method(method).parse(given).synthesize(task, device=device, progress=progress)
    return inject(task.head, made) if isinstance(made, Head) else made


def paper_settings(method: str) -> dict[str, Any]:
    """Return a method's settings as its paper has them."""
    fields = catalogue.method(method).settings.model_fields
    faithful = {"faithful": True} if "faithful" in fields else {}
    return faithful | PAPER_SETTINGS.get(method, {})


def train_in_batches_of(size: int) -> None:
    """Give the authors' loops the batches that the releases have for a data set."""
    icis.CONSTANTS["faithful"] = replace(icis.CONSTANTS["faithful"], batch_size=size)
    perceptron = row_mlp.MLP_CONSTANTS
    perceptron["faithful"] = replace(perceptron["faithful"], batch_size=size)


def run(benchmark: Benchmark, methods: Sequence[str], epochs: int, tell: Tell, device: str) -> None:
    """Train the seen head, measure the methods and print the table line by line."""
    splits, began = benchmark.splits, time.perf_counter()
    pictures, names = benchmark.part(splits.trainval), benchmark.seen_names
    recipe = base_classifier.Recipe(
        base_classifier.batch_size(len(splits.class_names)), epochs, device=device
    )
    head = base_classifier.train(pictures, names, recipe)
    train_in_batches_of(recipe.batch)
    print(
        f"{benchmark.name}: {head.class_count} seen classes, trained on {len(splits.trainval)} "
        f"pictures in {time.perf_counter() - began:.0f} s, tested on {len(splits.test_seen)}; "
        f"{len(benchmark.unseen_names)} unseen classes, tested on {len(splits.test_unseen)}"
    )
    preferences, features = _preferences(tell, head, pictures, recipe), None
    if tell == "pictures":
        labels_N = pictures.rows_in(head.class_names)
        features = calibration_features(head, pictures.features_NF, labels_N)
    print(f"  {'':<22}{''.join(f'{key:>7}' for key in (*COLUMNS[:4], 'b2n'))}")
    for method in methods:
        for line in measure(benchmark, head, method, preferences, device, features):
            print(line, flush=True)


def _preferences(
    tell: Tell, head: Head, pictures: NamedFeatures, recipe: base_classifier.Recipe
) -> Preferences:
    """Tell calibration what may be known: never anything of a test split."""
    if tell == "accuracy":
        accuracy = base_classifier.held_out_accuracy(pictures, head.class_names, recipe)
        print(f"  trained on nine tenths, it recognises {100 * accuracy:.1f} % of the last tenth")
        return Preferences(seen_accuracy=max(accuracy, 1 / head.class_count))
    return Preferences()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.protocol")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--methods", default=",".join((AUTO, *catalogue.names())))
    parser.add_argument("--epochs", type=int, default=base_classifier.EPOCHS, help="seen head's")
    parser.add_argument(
        "--tell",
        choices=get_args(Tell),
        default="nothing",
        help="what calibration knows of the seen head: its accuracy, from a second one that is "
        "trained on nine tenths, or the pictures it was trained on",
    )
    parser.add_argument("--device", default="cpu")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Measure the data sets that are there."""
    options, root = parse(arguments), os.environ.get("HEADGRAFT_XLSA17")
    if not root:
        print("skipped: HEADGRAFT_XLSA17 is not set")
        return
    for name in options.sets.split(","):
        folder = Path(root) / name
        if folder.is_dir():
            benchmark = read_benchmark(folder)
            methods = options.methods.split(",")
            run(benchmark, methods, options.epochs, options.tell, options.device)
        else:
            print(f"{name}: skipped, there is no {folder}")


if __name__ == "__main__":
    main(sys.argv[1:])

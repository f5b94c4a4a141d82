"""Calibration on a population of heads: what is delivered, what was possible, what is promised.

Each head is calibrated on each ground: its rows alone, generic pictures, pictures of seen classes
without labels, and with them. Needs HEADGRAFT_BENCH_DATA; a few minutes on one core:
    python -m tests.benchmarks.heads
    python -m tests.benchmarks.heads --heads mobilenet_v2 --grounds rows --method auto
An estimate is judged as corrected by constants that were fitted on the heads of all other networks;
those fitted on all of them, which models/selection/corrections.py holds, are printed in the end.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor

from headgraft.models.features.guesses import guessed_features
from headgraft.models.features.labelled import UnlabelledFeatures, calibration_features
from headgraft.models.heads.extend import inject
from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import equal_distance
from headgraft.models.metrics import Gzsl, evaluate
from headgraft.models.progress import Progress
from headgraft.models.selection.estimate import AccuracyInterval, HeadEstimate
from headgraft.models.selection.solution import Solution
from headgraft.models.selection.solve import Preferences, solve
from headgraft.models.task import Task
from tests.benchmarks.data import bench_folder
from tests.benchmarks.fit import FREE, fitted, promised, without_corrections
from tests.benchmarks.population import EMBEDDINGS, POPULATION, Case, cases, network_of
from tests.models.builders import candidates_of

GROUNDS = ("rows", "generic", "unlabelled", "labelled")
MEASURES = ("T1", "u", "s", "H")
LENGTHS = tuple(0.5 * 1.1**step for step in range(24))
SHIFTS = tuple(range(-2, 6))  # in deviations of a picture's logits
FIXED = {"gamma": 2.0, "ridge": 0.1}  # nothing to tune: one fit


@dataclass(frozen=True)
class Hindsight:
    """The best H of one case's rows: as the method makes them, at the best length, and bias."""

    raw: float
    length: float
    length_and_bias: float


@dataclass(frozen=True)
class Outcome:
    """One case, calibrated on one ground: the promise beside the truth.

    `uncorrected` is what the simulation itself says; `own` the head's real accuracy, and
    `accuracy` what calibration takes it for.
    """

    case: str
    embedding: str
    ground: str
    uncorrected: HeadEstimate
    own: float
    accuracy: float
    real: Gzsl
    hindsight: Hindsight
    seconds: float
    promise: Mapping[str, AccuracyInterval] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """What is lost of H against the best length in hindsight."""
        return self.hindsight.length - self.real.H

    def truth(self, measure: str) -> float:
        """Return the real accuracy."""
        return float(getattr(self.real, measure))

    def error(self, measure: str) -> float:
        """How far off the promise is."""
        return abs(self.promise[measure].value - self.truth(measure))

    def holds(self, measure: str) -> bool:
        """Tell whether the interval holds the truth."""
        return self.promise[measure].low <= self.truth(measure) <= self.promise[measure].high

    def width(self, measure: str) -> float:
        """How wide it is."""
        return self.promise[measure].high - self.promise[measure].low


def run_case(case: Case, grounds: Sequence[str], method: str, *, tell: bool) -> Iterator[Outcome]:
    """Calibrate a case on each ground without the pictures that measure it, then look at them."""
    hindsight: Hindsight | None = None
    for ground in grounds:
        task = shown_to(case, ground)
        preferences = Preferences(seen_accuracy=case.own_accuracy if tell else None)
        settings = FIXED if method == "ridge" else {}
        began = time.perf_counter()
        solution = solve(
            task,
            candidates_of(task, method, settings),
            preferences,
            device="cpu",
            progress=Progress(),
        )
        seconds = time.perf_counter() - began
        hindsight = hindsight or look_back(case, solution)
        yield Outcome(
            case.name,
            case.embedding,
            solution.estimate.ground,
            solution.estimate,
            case.own_accuracy,
            known_accuracy(task, case, tell=tell),
            measure(case, solution.unseen),
            hindsight,
            seconds,
        )


def known_accuracy(task: Task, case: Case, *, tell: bool) -> float:
    """Return what calibration takes the head's accuracy for where pictures have no labels."""
    if tell or task.unlabelled is None:
        return case.own_accuracy
    return guessed_features(task.head, task.unlabelled, None).head_accuracy


def shown_to(case: Case, ground: str) -> Task:
    """Return the task of a case with the features of a ground."""
    if ground == "labelled":
        labelled = calibration_features(case.task.head, case.shown_MD, case.shown_labels_M)
        return replace(case.task, features=labelled)
    if ground == "rows":
        return case.task
    generic = ground == "generic"
    features_ND = case.generic_GD if generic else case.shown_MD
    return replace(case.task, unlabelled=UnlabelledFeatures(features_ND, generic))


def measure(case: Case, unseen: Head) -> Gzsl:
    """Score the extended head on the pictures that measure."""
    head = inject(case.task.head, unseen)
    is_new_C = torch.arange(head.class_count) >= case.task.head.class_count
    return evaluate(head, case.features_ND, case.labels_N, is_new_C)


def look_back(case: Case, solution: Solution) -> Hindsight:
    """Place the rows at every length, and with every bias, and score each on the pictures."""
    head, seen = case.task.head, case.task.head.class_count
    logits_NS = head.logits(case.features_ND)
    best = logits_NS.max(dim=1)
    unit = float(logits_NS.std(dim=1).mean()) if head.bias is not None else 0.0
    found = torch.zeros(len(LENGTHS), len(SHIFTS))
    for at, length in enumerate(LENGTHS):
        rows_UK = equal_distance(solution.raw.rows, head.rows, length)
        new = head.with_rows(rows_UK, solution.raw.class_names).logits(case.features_ND).max(dim=1)
        for which, shift in enumerate(SHIFTS):
            wins_N = new.values + shift * unit > best.values
            predicted_N = torch.where(wins_N, new.indices + seen, best.indices)
            found[at, which] = _H(predicted_N, case.labels_N, seen)
    return Hindsight(
        measure(case, solution.raw).H, float(found[:, SHIFTS.index(0)].max()), float(found.max())
    )


def _H(predicted_N: Tensor, labels_N: Tensor, seen: int) -> float:
    right_N = predicted_N == labels_N
    weight_N = 1 / torch.bincount(labels_N)[labels_N].float()
    new_N = labels_N >= seen
    u = float((right_N * weight_N)[new_N].sum() / weight_N[new_N].sum())
    s = float((right_N * weight_N)[~new_N].sum() / weight_N[~new_N].sum())
    return 2 * u * s / (u + s) if u + s else 0.0


def line(outcomes: Sequence[Outcome]) -> str:
    """Write the means of some outcomes on one ground, in per cent."""
    parts = [
        f"H {100 * mean(one.real.H for one in outcomes):.1f} "
        f"loss {100 * mean(one.loss for one in outcomes):.1f}"
    ]
    for name in MEASURES:
        expected = mean(one.promise[name].value for one in outcomes)
        real = mean(one.truth(name) for one in outcomes)
        parts.append(
            f"{name} {100 * expected:.0f}/{100 * real:.0f} "
            f"off {100 * mean(one.error(name) for one in outcomes):.1f} "
            f"holds {100 * mean(one.holds(name) for one in outcomes):.0f} "
            f"width {100 * mean(one.width(name) for one in outcomes):.0f}"
        )
    return " | ".join(parts)


def summary(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Write one ground over all heads: what the acceptance of the work asks for."""
    heads = by(outcomes, "case")
    losses = {
        key: mean(one.loss for one in group)
        for key, group in by(outcomes, "case", "embedding").items()
    }
    under = {
        key: mean(one.hindsight.raw - one.real.H for one in group)
        for key, group in by(outcomes, "case", "embedding").items()
    }
    worst, lowest = max(losses, key=lambda key: losses[key]), max(under, key=lambda key: under[key])
    yield (
        f"loss of H against the best length: mean {100 * mean(losses.values()):.1f}, "
        f"worst {100 * losses[worst]:.1f} ({', '.join(worst)}); "
        f"under raw at most {100 * under[lowest]:.1f} ({', '.join(lowest)})"
    )
    for name in MEASURES:
        held = {key: mean(one.holds(name) for one in group) for key, group in heads.items()}
        least = min(held, key=lambda key: held[key])
        yield (
            f"{name}: mean error {100 * mean(one.error(name) for one in outcomes):.1f}, intervals "
            f"hold in {100 * mean(one.holds(name) for one in outcomes):.0f} %, "
            f"least {100 * held[least]:.0f} % ({', '.join(least)}), "
            f"mean width {100 * mean(one.width(name) for one in outcomes):.1f}"
        )


def by(outcomes: Sequence[Outcome], *fields: str) -> dict[tuple[str, ...], list[Outcome]]:
    """Group outcomes by some of their fields."""
    groups = defaultdict(list)
    for one in outcomes:
        groups[tuple(getattr(one, field) for field in fields)].append(one)
    return groups


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.heads")
    parser.add_argument("--heads", default=",".join(POPULATION), help="joined by a comma")
    parser.add_argument("--embedding", default=",".join(EMBEDDINGS), help="joined by a comma")
    parser.add_argument("--grounds", default=",".join(GROUNDS), help="joined by a comma")
    parser.add_argument("--folds", default="0-1", help="first-last")
    parser.add_argument("--method", default="ridge", help="ridge (nothing tuned), or another")
    parser.add_argument("--known-accuracy", action="store_true", help="tell the head's accuracy")
    return parser.parse_args(arguments)


def run(folder: Path, options: argparse.Namespace) -> Iterator[list[Outcome]]:
    """Run the population, one list of outcomes a head and embedding."""
    first, last = (int(part) for part in options.folds.split("-"))
    for name in options.heads.split(","):
        for embedding in options.embedding.split(","):
            yield [
                one
                for case in cases(folder, name, embedding, range(first, last + 1))
                for one in run_case(
                    case, options.grounds.split(","), options.method, tell=options.known_accuracy
                )
            ]


def judged(outcomes: Sequence[Outcome]) -> Iterator[Outcome]:
    """Correct every estimate by what was fitted on the heads of other networks."""
    for (case, ground), group in by(outcomes, "case", "ground").items():
        others = [
            one
            for one in outcomes
            if one.ground == ground and network_of(one.case) != network_of(case)
        ]
        rules = {part: fitted(others or group, ground, part) for part in FREE[ground]}
        for one in group:
            yield replace(one, promise=promised(one, rules))


def main(arguments: Sequence[str]) -> None:
    """Print one line a head, embedding and ground, then each ground over all heads."""
    options, folder = parse(arguments), bench_folder()
    if folder is None:
        print("skipped: HEADGRAFT_BENCH_DATA is not set")
        return
    outcomes = []
    with without_corrections():
        for group in run(folder, options):
            first = group[0]
            seen = [one.hindsight for one in group]
            print(
                f"{first.case}, {first.embedding}: H raw {100 * mean(o.raw for o in seen):.1f}, "
                f"best length {100 * mean(o.length for o in seen):.1f}, and bias "
                f"{100 * mean(o.length_and_bias for o in seen):.1f}; "
                f"{mean(one.seconds for one in group):.1f} s",
                flush=True,
            )
            outcomes += group
    corrected = list(judged(outcomes))
    for key, group in by(corrected, "case", "embedding", "ground").items():
        print(f"{', '.join(key)}: {line(group)}")
    for (ground,), group in by(corrected, "ground").items():
        print(f"\n{ground}\n" + "\n".join(summary(group)))
        for part in FREE[ground]:
            print(part, fitted(group, ground, part))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Compares what calibration expects with what pictures show.

No picture enters a choice, but for `--features`, which gives calibration those of seen classes.

It does not know how an estimate is made. Needs HEADGRAFT_BENCH_DATA; about 3 s a fold:
    python -m tests.benchmarks.expected --folds 5-9
    python -m tests.benchmarks.expected --heads clip --metric linear --known-accuracy
    python -m tests.benchmarks.expected --heads clip --metric linear --features --classes 50
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor

from headgraft.models.features.labelled import CalibrationFeatures, calibration_features
from headgraft.models.heads.extend import inject
from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import equal_distance
from headgraft.models.metrics import Gzsl, evaluate
from headgraft.models.progress import Progress
from headgraft.models.selection.estimate import AccuracyInterval
from headgraft.models.selection.solution import Solution
from headgraft.models.selection.solve import Preferences, solve
from headgraft.models.task import Task
from tests.benchmarks.clip_heads import clip_task, measured_on, own_accuracy, read_clip_folds
from tests.benchmarks.data import bench_folder, read_embeddings, read_lite0
from tests.benchmarks.lite0 import make_task
from tests.benchmarks.texts import encode_texts
from tests.models.builders import candidates_of

EMBEDDINGS = ("clip_vit_b32_text", "conceptnet+wiki2vec", "minilm:gloss", "minilm:names")
HINDSIGHT = tuple(0.8 * 1.1**step for step in range(14))
NORMAL_90 = 1.645


@dataclass(frozen=True)
class Case:
    """A task with the pictures that measure its solution, in the extended head's order.

    `shown` are features and labels of seen classes that calibration may be given.
    """

    task: Task
    features_ND: Tensor
    labels_N: Tensor
    own_accuracy: float
    shown: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Outcome:
    """One solved case: the estimate beside the truth."""

    solution: Solution
    real: Gzsl
    hindsight: tuple[float, ...]
    separation: float
    pictures: int
    seconds: float

    def holds(self, name: str) -> tuple[bool, bool]:
        """Tell whether the interval holds the truth: as it is, and widened by few pictures."""
        figure: AccuracyInterval = getattr(self.solution.estimate, name)
        truth = float(getattr(self.real, name))
        noise = NORMAL_90 * sqrt(max(truth * (1 - truth), 1e-4) / self.pictures)
        # The interval's own half and the pictures' noise are independent.
        low = figure.value - sqrt((figure.value - figure.low) ** 2 + noise**2)
        high = figure.value + sqrt((figure.high - figure.value) ** 2 + noise**2)
        return figure.low <= truth <= figure.high, low <= truth <= high


def embeddings_of(folder: Path, name: str) -> Tensor:
    """Read class embeddings by name, or encode texts: `encoder:texts`."""
    encoder, colon, texts = name.partition(":")
    return encode_texts(folder, encoder, texts) if colon else read_embeddings(folder, name)


def lite0_cases(folder: Path, embeddings_CA: Tensor, folds: Sequence[int]) -> Iterator[Case]:
    """Yield the Lite0 head's folds of 100 unseen classes, one picture a class."""
    data = read_lite0(folder)
    for hidden_C in (data.folds[number] for number in folds):
        task = make_task(data, hidden_C, embeddings_CA)
        place_C = torch.empty(len(hidden_C), dtype=torch.long)
        order = torch.cat([(~hidden_C).nonzero()[:, 0], hidden_C.nonzero()[:, 0]])
        place_C[order] = torch.arange(len(order))
        labels_N = place_C[data.labels_N]
        seen_N = labels_N < task.head.class_count
        logits_NS = task.head.logits(data.features_ND[seen_N])
        own = (logits_NS.argmax(dim=1) == labels_N[seen_N]).double().mean()
        # One picture a class: those of seen classes that calibrate also measure s.
        shown = data.features_ND[seen_N], labels_N[seen_N]
        yield Case(task, data.features_ND, labels_N, float(own), shown)


def clip_cases(
    folder: Path, embeddings_CA: Tensor, folds: Sequence[int], metric: str, *, hold_out: bool
) -> Iterator[Case]:
    """Yield the heads on CLIP features, 200 unseen classes, three pictures a class.

    Where the first of the three is for calibration (`hold_out`), two are left to measure.
    """
    for number in folds:
        fold = read_clip_folds(folder)[number]
        task = clip_task(folder, fold, embeddings_CA, "cosine" if metric == "cosine" else "linear")
        shown = fold.test_C3D[fold.seen, 0], torch.arange(len(fold.seen))
        if hold_out:
            fold = replace(fold, test_C3D=fold.test_C3D[:, 1:])
        yield Case(task, *measured_on(fold), own_accuracy(fold, task.head), shown)


def some_pictures(case: Case, classes: int) -> CalibrationFeatures:
    """Take the shown pictures of so many seen classes, chosen by lot."""
    features_ND, labels_N = case.shown
    lot = torch.randperm(case.task.head.class_count, generator=torch.Generator().manual_seed(1))
    chosen_N = torch.isin(labels_N, lot[:classes])
    return calibration_features(case.task.head, features_ND[chosen_N], labels_N[chosen_N])


def run_case(
    case: Case, method: str, *, tell_accuracy: bool, pictures: CalibrationFeatures | None = None
) -> Outcome:
    """Solve a case without the pictures that measure it, then look at them."""
    known = case.own_accuracy if tell_accuracy else None
    preferences, task = Preferences(seen_accuracy=known), replace(case.task, features=pictures)
    began = time.perf_counter()
    candidates = candidates_of(task, method, {})
    solution = solve(task, candidates, preferences, device="cpu", progress=Progress())
    seconds = time.perf_counter() - began
    seen = case.task.head.class_count
    return Outcome(
        solution,
        _measure(case, solution.unseen),
        tuple(_measure(case, _at(case, solution, scale)).H for scale in HINDSIGHT),
        _separation(case, solution),
        int((case.labels_N >= seen).sum()),
        seconds,
    )


def _measure(case: Case, unseen: Head) -> Gzsl:
    head = inject(case.task.head, unseen)
    is_new_C = torch.arange(head.class_count) >= case.task.head.class_count
    return evaluate(head, case.features_ND, case.labels_N, is_new_C)


def _at(case: Case, solution: Solution, scale: float) -> Head:
    """Place the solution's rows at another scale."""
    head = case.task.head
    rows_UK = equal_distance(solution.unseen.rows, head.rows, scale)
    return head.with_rows(rows_UK, solution.unseen.class_names)


def _separation(case: Case, solution: Solution) -> float:
    """Real accuracy of the more confident half of the new classes, less that of the other."""
    seen = case.task.head.class_count
    new_N = case.labels_N >= seen
    logits_NC = inject(case.task.head, solution.unseen).logits(case.features_ND[new_N])
    right_N = (logits_NC.argmax(dim=1) == case.labels_N[new_N]).double()
    labels_N = case.labels_N[new_N] - seen
    confidence_U = torch.tensor([one.confidence for one in solution.confidences])
    order_U = confidence_U.argsort(descending=True)
    rank_U = torch.empty_like(order_U)
    rank_U[order_U] = torch.arange(len(order_U))
    sure_N = rank_U[labels_N] < len(order_U) // 2
    return float(right_N[sure_N].mean() - right_N[~sure_N].mean())


def summary(outcomes: Sequence[Outcome]) -> str:
    """Write the estimates beside the truth, in per cent, and how often the intervals hold."""
    lines = []
    for name in ("T1", "u", "s", "H"):
        expected = [getattr(one.solution.estimate, name).value for one in outcomes]
        real = [float(getattr(one.real, name)) for one in outcomes]
        widths = [
            getattr(one.solution.estimate, name).high - getattr(one.solution.estimate, name).low
            for one in outcomes
        ]
        error = mean(abs(e - r) for e, r in zip(expected, real, strict=True))
        held, widened = (mean(one.holds(name)[which] for one in outcomes) for which in (0, 1))
        lines.append(
            f"  {name:2} expected {100 * mean(expected):.1f} real {100 * mean(real):.1f} "
            f"mean error {100 * error:.1f} interval width {100 * mean(widths):.1f} "
            f"holds {100 * held:.0f} %, widened by the pictures' noise {100 * widened:.0f} %"
        )
    chosen = 100 * mean(one.real.H for one in outcomes)
    best = 100 * max(mean(column) for column in zip(*(o.hindsight for o in outcomes), strict=True))
    lines.append(
        f"  H {chosen:.1f}, best one scale in hindsight {best:.1f}; confident half minus the "
        f"other {100 * mean(one.separation for one in outcomes):.1f}; "
        f"{mean(one.seconds for one in outcomes):.1f} s a fold"
    )
    return "\n".join(lines)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.expected")
    parser.add_argument("--heads", choices=("lite0", "clip"), default="lite0")
    parser.add_argument("--metric", choices=("linear", "cosine"), default="linear")
    parser.add_argument("--method", default="auto")
    parser.add_argument("--embedding", default=",".join(EMBEDDINGS), help="joined by a comma")
    parser.add_argument("--folds", default="0-9", help="first-last")
    parser.add_argument("--known-accuracy", action="store_true", help="tell the head's accuracy")
    parser.add_argument("--features", action="store_true", help="calibrate by seen pictures")
    parser.add_argument("--classes", type=int, default=10**6, help="with pictures, at most")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Solve and measure, one block a class embedding and one over all."""
    options, folder = parse(arguments), bench_folder()
    if folder is None:
        print("skipped: HEADGRAFT_BENCH_DATA is not set")
        return
    first, last = (int(part) for part in options.folds.split("-"))
    folds, all_of_them = range(first, last + 1), {}
    for name in options.embedding.split(","):
        embeddings_CA = embeddings_of(folder, name)
        cases = (
            lite0_cases(folder, embeddings_CA, folds)
            if options.heads == "lite0"
            else clip_cases(folder, embeddings_CA, folds, options.metric, hold_out=options.features)
        )
        outcomes = [
            run_case(
                case,
                options.method,
                tell_accuracy=options.known_accuracy,
                pictures=some_pictures(case, options.classes) if options.features else None,
            )
            for case in cases
        ]
        all_of_them[name] = outcomes
        print(f"{name}: {len(outcomes)} folds\n{summary(outcomes)}", flush=True)
    print(f"all\n{summary([one for group in all_of_them.values() for one in group])}")


if __name__ == "__main__":
    main(sys.argv[1:])

"""What features made from a head alone are worth: how many are kept, and what they teach.

It does not know how they are made. A logistic regression is trained on them alone, with the
constants of the head itself, and measured on the pictures that measure the head.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import torch
from torch import Tensor

from headgraft.models.features.labelled import LabelledFeatures
from headgraft.models.heads.head import Head
from headgraft.models.progress import ignore
from headgraft.models.synthesis.virtual_features import (
    LearnedDirections,
    VirtualFeaturesConfig,
    draw,
    learn_directions,
)
from headgraft.models.task import Task
from tests.benchmarks.clip_heads import ClipFold, own_accuracy

CONFIG = VirtualFeaturesConfig(steps=400, draws=1, classes=256, count=50)
COLUMNS = (
    "fold | kappa | loss at first | in the end | kept: least | 1 % | 10 % | median | lost all",
    "head | regression | share | seconds",
)
HEADER = f"| {' | '.join(COLUMNS)} |\n{'|---' * 13}|"


@dataclass(frozen=True, eq=False)
class Worth:
    """What a fold's virtual features were learned from, how many a class has, the accuracies."""

    learned: LearnedDirections
    counts_S: Tensor
    head: float
    regression: float
    seconds: float


def weigh(fold: ClipFold, task: Task, config: VirtualFeaturesConfig = CONFIG) -> Worth:
    """Make virtual features of a fold's head, and train a regression on them alone."""
    generator = torch.Generator().manual_seed(0)
    began = time.perf_counter()
    learned = learn_directions(task.head, task.class_embeddings_SA, config, ignore, generator)
    virtual = draw(task.head, learned, config, ignore, generator)
    seconds = time.perf_counter() - began
    taught = own_accuracy(fold, train_on(virtual, task.head))
    counts_S = virtual.counts(task.head.class_count)
    return Worth(learned, counts_S, own_accuracy(fold, task.head), taught, seconds)


def train_on(virtual: LabelledFeatures, head: Head) -> Head:
    """Train a head of the same classes and metric on virtual features alone."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=0.316, fit_intercept=False, max_iter=1000)
    model.fit(virtual.features_NF.numpy(), virtual.labels_N.numpy())
    rows_SD = torch.zeros_like(head.weight)
    rows_SD[torch.from_numpy(model.classes_)] = torch.from_numpy(model.coef_).float()
    return Head(rows_SD, None, head.class_names, head.metric, head.scale)


def print_virtual(cases: Sequence[tuple[ClipFold, Task]]) -> None:
    """Print a line a fold; shares are quantiles over classes."""
    print(f"{CONFIG}\n{HEADER}")
    for number, (fold, task) in enumerate(cases):
        print(line(number, weigh(fold, task)), flush=True)


def line(number: int, worth: Worth) -> str:
    """Write a table's line."""
    shares_S = worth.counts_S / CONFIG.count
    quantiles = torch.quantile(shares_S, torch.tensor([0, 0.01, 0.1, 0.5])).tolist()
    losses = worth.learned.losses
    cells = [
        str(number),
        f"{worth.learned.kappa:.0f}",
        f"{losses[0]:.4f}",
        f"{mean(losses[-10:]):.5f}",
        *(f"{100 * one:.0f} %" for one in quantiles),
        f"{100 * float((worth.counts_S == 0).float().mean()):.1f} %",
        f"{100 * worth.head:.1f}",
        f"{100 * worth.regression:.1f}",
        f"{100 * worth.regression / worth.head:.0f} %",
        f"{worth.seconds:.0f}",
    ]
    return f"| {' | '.join(cells)} |"

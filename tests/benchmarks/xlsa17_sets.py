"""One data set of the zero-shot protocol as a task and a score; it does not know the methods."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.features.labelled import NamedFeatures
from headgraft.models.heads.head import Head
from headgraft.models.heads.protocol import NativeHead
from headgraft.models.metrics import Gzsl, evaluate
from headgraft.models.task import Task
from headgraft.workers.evaluate import xlsa17

PICTURES_FILE = "res101.mat"


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Every picture, who is for what, and one unit attribute vector a class."""

    name: str
    pictures: NamedFeatures
    splits: xlsa17.Splits
    attributes_CA: Tensor

    @property
    def seen_names(self) -> tuple[str, ...]:
        """The classes to train on, in the order of the labels."""
        labels = sorted(set(self.pictures.labels_N[self.splits.trainval].tolist()))
        return tuple(self.splits.class_names[label] for label in labels)

    @property
    def unseen_names(self) -> tuple[str, ...]:
        """The classes to inject, in the order of the labels."""
        return self.splits.unseen_names(self.pictures)

    def part(self, *splits: Tensor) -> NamedFeatures:
        """Return the pictures of some splits."""
        chosen, every = torch.cat(splits), self.pictures
        return NamedFeatures(every.features_NF[chosen], every.labels_N[chosen], every.class_names)

    def attributes_of(self, names: Sequence[str]) -> Tensor:
        """Return the attributes of classes (len(names), A)."""
        return self.attributes_CA[[self.splits.class_names.index(name) for name in names]]


def read_benchmark(folder: Path) -> Benchmark:
    """Read a data set's two files; InjectionError and OSError name what is wrong."""
    splits = xlsa17.read_splits(folder / xlsa17.SPLITS_FILE)
    pictures = xlsa17.read_pictures(folder / PICTURES_FILE, splits)
    stored_AC = loadmat(folder / xlsa17.SPLITS_FILE, variable_names=("att",))["att"]
    attributes_CA = torch.from_numpy(np.ascontiguousarray(stored_AC.T, dtype=np.float32))
    return Benchmark(folder.name, pictures, splits, normalize(attributes_CA))


def make_task(benchmark: Benchmark, head: Head) -> Task:
    """Ask for the unseen classes by their attributes."""
    names = benchmark.unseen_names
    seen_SA = benchmark.attributes_of(head.class_names)
    return Task(head, seen_SA, benchmark.attributes_of(names), names)


def score(benchmark: Benchmark, whole: Head | NativeHead) -> Gzsl:
    """Score an extended head, seen classes first, on the test pictures of both sides."""
    test = benchmark.part(benchmark.splits.test_seen, benchmark.splits.test_unseen)
    is_unseen_C = torch.arange(whole.class_count) >= len(benchmark.seen_names)
    return evaluate(whole, test.features_NF, test.rows_in(whole.class_names), is_unseen_C)

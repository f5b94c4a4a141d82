"""Small real heads and tasks for the tests of models; no test lives here."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import normalize

from headgraft.models import catalogue
from headgraft.models.heads.attribute import AttributeHead
from headgraft.models.heads.attribute_attention import AttributeMaps
from headgraft.models.heads.head import Head, Metric
from headgraft.models.method import ParsedRows
from headgraft.models.progress import Report
from headgraft.models.selection.solve import AUTO, choose_candidates
from headgraft.models.task import Task
from tests.region_features import RegionsInMemory


def make_head(
    classes: int = 12,
    features: int = 6,
    *,
    bias: bool = True,
    metric: Metric = "linear",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Head:
    """Make a head of random rows."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(classes, features, generator=generator).to(dtype)
    bias_C = torch.randn(classes, generator=generator).to(dtype) if bias else None
    names = tuple(f"class {index}" for index in range(classes))
    return Head(weight, bias_C, names, metric, 10.0 if metric == "cosine" else 1.0)


def make_task(head: Head | None = None, unseen: int = 4, size: int = 5, seed: int = 1) -> Task:
    """Make a task with random class embeddings; a dtype of its own would change the sums."""
    head = head or make_head()
    generator = torch.Generator().manual_seed(seed)
    return Task(
        head,
        torch.randn(head.class_count, size, generator=generator),
        torch.randn(unseen, size, generator=generator),
        tuple(f"new {index}" for index in range(unseen)),
    )


def make_regions(
    classes: int = 12, each: int = 4, features: int = 6, regions: int = 4, seed: int = 5
) -> RegionsInMemory:
    """Make as many pictures of each class, of random region features."""
    generator = torch.Generator().manual_seed(seed)
    labels_N = torch.arange(classes).repeat_interleave(each)
    shape = (len(labels_N), features, regions)
    return RegionsInMemory(torch.randn(shape, generator=generator), labels_N)


def make_attribute_head(
    classes: int = 8, attributes: int = 5, features: int = 6, seed: int = 0
) -> AttributeHead:
    """Make a head of random maps and class attributes, the last two classes unseen."""
    generator = torch.Generator().manual_seed(seed)
    shape = (attributes, features)
    maps = AttributeMaps(*(torch.randn(shape, generator=generator) for _ in range(4)))
    rows_CA = normalize(torch.rand(classes, attributes, generator=generator))
    names = tuple(f"class {number}" for number in range(classes))
    return AttributeHead(maps, rows_CA, names, classes - 2, alpha=0.25, margin=2.0)


def some_regions(pictures: int, features: int = 6, regions: int = 4, seed: int = 1) -> torch.Tensor:
    """Return random region features (N, D, R)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(pictures, features, regions, generator=generator)


def note_losses(losses: list[float]) -> Report:
    """Make a report that adds the losses to a list, where one was read."""

    def report(_fraction: float, _stage: str, loss: float | None) -> None:
        if loss is not None:
            losses.append(loss)

    return report


def candidates_of(task: Task, method: str, settings: Mapping[str, Any]) -> list[ParsedRows]:
    """Return what a request for a method by name, or for "auto", tries."""
    if method == AUTO:
        return choose_candidates(task, settings)
    return [catalogue.row_method(method).parse(settings)]

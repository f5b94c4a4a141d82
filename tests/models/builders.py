"""Small real heads and tasks for the tests of models; no test lives here."""

import torch

from models.head import Head, Metric
from models.task import Task


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

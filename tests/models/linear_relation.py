"""A task whose rows follow exactly from its class embeddings; no test lives here."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.models.task import Task


def linear_task(seen: int = 80, unseen: int = 10) -> tuple[Task, Tensor]:
    """Return the task and the unseen classes' true rows (U, 6); embeddings have 8 numbers."""
    generator = torch.Generator().manual_seed(3)
    embeddings_CA = torch.randn(seen + unseen, 8, generator=generator)
    rows_CK = normalize(embeddings_CA) @ torch.randn(8, 6, generator=generator)
    names = tuple(str(number) for number in range(seen + unseen))
    task = Task(
        Head(rows_CK[:seen], None, names[:seen]),
        embeddings_CA[:seen],
        embeddings_CA[seen:],
        names[seen:],
    )
    return task, rows_CK[seen:]

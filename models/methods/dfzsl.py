"""Data-free zero-shot learning: text features tuned and rows trained on features made from a head.

DFZSL, AAAI 2024, arXiv 2401.15657: virtual features of seen classes, text tuned on them (FLPT),
TF-VAEGAN for unseen classes, a cosine classifier with adjusted logits (models/dfzsl.py).

Differences from the specification: seen rows stay as they are, and the rows trained for seen
classes are dropped; where the encoder is not at hand, a learned map of the class embeddings takes
the prompt's place; features are not moved by the image residual, which rows that stay would not
share, but in `paper`, and its bias is not exported; the stages run once, for few steps, and the
last iterate is kept. Calibration sets the new rows' lengths, the seen mean until then.
"""

import torch

from models.dfzsl import run
from models.dfzsl_settings import Settings as Settings
from models.head import Head
from models.progress import Progress
from models.task import Task
from models.text_rows import text_rows

NEEDS: frozenset[str] = frozenset({"joint_embeddings"})
AUTO = False  # nobody waits for it among candidates


def synthesize(
    task: Task, settings: Settings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Return one row per unseen class, in order: float32, on the CPU.

    InjectionError where class embeddings and features have unlike sizes, or a class of the head
    loses all its virtual features.
    """
    rows_CD = run(task, settings, device=device, progress=progress).rows_CD
    rows_UK = text_rows(rows_CD[task.head.class_count :], task.head)
    return task.head.with_rows(rows_UK, task.unseen_class_names)

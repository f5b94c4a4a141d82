"""Data-free zero-shot learning: text features tuned and rows trained on features made from a head.

DFZSL, AAAI 2024, arXiv 2401.15657: virtual features of seen classes, text tuned on them (FLPT),
TF-VAEGAN for unseen classes, a cosine classifier with adjusted logits (stages.py).

Differences from the specification: seen rows stay as they are, and the rows trained for seen
classes are dropped, but with `replace_seen`; where the encoder is not at hand, a learned map of the
class embeddings takes the prompt's place, in `paper` alone; features are not moved by the image
residual, which rows that stay would not share, but in `paper`, and its bias is exported only where
all rows are replaced and the head has biases; unseen features are copies of the text but in
`paper`; the stages run once, for few steps, and the last iterate is kept. Calibration sets the new
rows' lengths, the seen mean until then.
"""

import torch
from torch import Tensor

from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import text_rows
from headgraft.models.learners.prompt_tuning import residual_bias
from headgraft.models.method import Method
from headgraft.models.methods.dfzsl.settings import DfzslSettings
from headgraft.models.methods.dfzsl.stages import StageResults, expected_seconds, run
from headgraft.models.progress import Progress
from headgraft.models.task import Task


def synthesize(
    task: Task, settings: DfzslSettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Return one row per unseen class, in order: float32, on the CPU.

    With `replace_seen` one per class, seen first. InjectionError where class embeddings and
    features have unlike sizes, or a class of the head loses all its virtual features.
    """
    stages, names = run(task, settings, device=device, progress=progress), task.unseen_class_names
    if settings.replace_seen:
        return task.head.with_rows(_all_rows(stages, task.head), task.head.class_names + names)
    return task.head.with_rows(text_rows(stages.rows_CD[-len(names) :], task.head), names)


def _all_rows(stages: StageResults, head: Head) -> Tensor:
    rows_CK = text_rows(stages.rows_CD, head)
    if head.bias is not None:
        unit = head.scale if head.metric == "cosine" else rows_CK[0, :-1].norm()
        rows_CK[:, -1] += unit * residual_bias(stages.rows_CD, stages.tuned.residual_D)
    return rows_CK


METHOD = Method(
    name="dfzsl",
    doc=__doc__,
    settings=DfzslSettings,
    synthesize=synthesize,
    needs=frozenset({"joint_embeddings"}),
    takes=frozenset({"features"}),
    candidate=False,  # too slow to be tried by "auto"
    iterative=True,
    expected_seconds=expected_seconds,
)

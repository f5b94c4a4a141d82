"""Prototypes from class embeddings, trained on seen and generated features with adjusted logits.

ZLAP, IJCAI 2022, arXiv 2204.11822: rows = P(a), cosine logits plus the offsets of
models/learners/cosine_classifier.py in training; a WGAN-GP makes the unseen classes' features. Seen
features are virtual ones around the head's own directions (dfzsl's first stage, at the optimum of
its black-box loss).

Differences from the specification: seen rows stay, new ones stand to them as their prototypes to
the seen prototypes (prototypes.py), and calibration sets their distance. Features are
scaled to [0, 1] only with `scale_features`, and where the head is linear with a bias: another
cannot carry the offset. The number of GAN steps is ours, as are all constants but in `paper`.
"""

from dataclasses import replace

import torch

from headgraft.models.heads.head import Head
from headgraft.models.learners.cosine_classifier import offsets
from headgraft.models.method import Method, training_seconds
from headgraft.models.methods.zlap.prototypes import (
    UnitInterval,
    rows_from_prototypes,
    train_prototypes,
)
from headgraft.models.methods.zlap.settings import ZlapSettings
from headgraft.models.progress import Progress, within
from headgraft.models.synthesis import wgan
from headgraft.models.synthesis.virtual_features import query_directions, training_features
from headgraft.models.task import Task


def synthesize(
    task: Task, settings: ZlapSettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Return one row per unseen class, in order: float32, on the CPU."""
    head, unseen, constants = task.head, len(task.unseen_class_names), settings.constants
    generator = torch.Generator().manual_seed(settings.seed)
    embeddings_CA = torch.cat(
        task.normalised_embeddings(device, torch.float32, centre=settings.centre)
    )
    seen = training_features(
        task,
        query_directions(head).to(device, torch.float32),
        constants.virtual,
        within(progress, 0.0, 0.1),
        generator,
    )
    interval = None
    if settings.scale_features and head.metric == "linear" and head.bias is not None:
        interval = UnitInterval(seen.features_NF)
        seen = replace(seen, features_NF=interval.scale(seen.features_NF))
    gan = replace(
        constants.gan,
        positive=interval is not None,
        features_per_class=settings.features_per_class,
    )
    made_MD, labels_M = wgan.synthesize_features(
        seen,
        embeddings_CA,
        unseen,
        gan,
        within(progress, 0.1, 0.6),
        generator,
    )
    prototypes_CK = train_prototypes(
        (torch.cat([seen.features_NF, made_MD]), torch.cat([seen.labels_N, labels_M])),
        embeddings_CA,
        constants.hidden_size,
        constants.prototypes,
        offsets(seen.counts(head.class_count), unseen, settings.r),
        within(progress, 0.6, 1.0, "training prototypes"),
        generator,
    )
    if interval is not None:
        prototypes_CK = interval.fold_back(prototypes_CK)
    return head.with_rows(rows_from_prototypes(head, prototypes_CK), task.unseen_class_names)


def expected_seconds(task: Task, settings: ZlapSettings, device: str | torch.device) -> float:
    """Predict the seconds of a fit: features drawn, a generator, the prototypes."""
    (S, D), A = task.head.weight.shape, task.class_embeddings_SA.shape[1]
    unseen = len(task.unseen_class_names)
    constants, prototypes = settings.constants, settings.constants.prototypes
    drawn = S * constants.virtual.count
    generated = unseen * settings.features_per_class
    multiply_adds, updates = constants.gan.size(D, A)
    steps = prototypes.epochs * -(-(drawn + generated) // prototypes.batch_size)
    parameters = constants.hidden_size * (A + D)
    multiply_adds += drawn * S * D + steps * (S + unseen) * (parameters + prototypes.batch_size * D)
    return training_seconds(multiply_adds, updates + steps * parameters, device)


METHOD = Method(
    name="zlap",
    doc=__doc__,
    settings=ZlapSettings,
    synthesize=synthesize,
    takes=frozenset({"features"}),
    candidate=False,  # too slow to be tried by "auto"
    iterative=True,
    expected_seconds=expected_seconds,
)

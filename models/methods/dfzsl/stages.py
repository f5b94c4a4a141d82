"""The four stages of dfzsl, one after the other, with what each leaves behind.

DFZSL, AAAI 2024, arXiv 2401.15657.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import LabelledFeatures
from headgraft.models.heads.head import Head
from headgraft.models.learners import cosine_classifier, prompt_tuning
from headgraft.models.learners.cosine_classifier import offsets
from headgraft.models.learners.prompt_tuning import TunedText
from headgraft.models.method import training_seconds
from headgraft.models.methods.dfzsl.settings import DfzslConstants, DfzslSettings
from headgraft.models.progress import Report, within
from headgraft.models.synthesis import tfvaegan
from headgraft.models.synthesis.virtual_features import training_features
from headgraft.models.task import Task

SHARES = (0.3, 0.4, 0.85)  # of the time, when virtual features, tuning and generator are done
NUMBER_DRAWN = 1500  # multiply-adds that cost as much


@dataclass(frozen=True, eq=False)
class StageResults:
    """What each stage left: the last are rows (C, D) of any length, seen classes first."""

    virtual: LabelledFeatures
    unseen: LabelledFeatures
    tuned: TunedText
    rows_CD: Tensor


def run(
    task: Task, settings: DfzslSettings, *, device: str | torch.device, progress: Report
) -> StageResults:
    """Run all stages for class embeddings of the features' size.

    InjectionError where they are of another, or a class loses all its virtual features.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    text_CD = torch.cat([task.class_embeddings_SA, task.unseen_class_embeddings_UA])
    text_CD = text_CD.to(device, torch.float32)
    seen, constants = task.head.class_count, settings.constants
    _check_sizes(task.head, text_CD)
    virtual = training_features(
        task, text_CD[:seen], constants.virtual, within(progress, 0.0, SHARES[0]), generator
    )
    tuned = _tune(task, virtual, text_CD, constants, within(progress, *SHARES[:2]), generator)
    unseen = _synthesize_unseen(virtual, tuned.text_CD, task, settings, progress, generator)
    rows_CD = _classify(task, virtual, unseen, tuned.text_CD, settings, progress, generator)
    return StageResults(virtual, unseen, tuned, rows_CD)


def _tune(
    task: Task,
    virtual: LabelledFeatures,
    text_CD: Tensor,
    constants: DfzslConstants,
    progress: Report,
    generator: torch.Generator,
) -> TunedText:
    """Tune the text by the virtual features: through the prompt where an encoder is at hand."""
    features_ND, labels_N = virtual.features_NF, virtual.labels_N
    seen = task.head.class_count
    if task.text_tower is None:
        return prompt_tuning.tune_embeddings(
            text_CD,
            features_ND,
            labels_N,
            constants.embedding_tuning,
            progress,
            generator,
            competing=seen,
        )
    return prompt_tuning.tune(
        task.text_tower,
        task.head.class_names + task.unseen_class_names,
        features_ND,
        labels_N,
        constants.tuning,
        progress,
        generator,
        competing=seen,
    )


def _synthesize_unseen(
    virtual: LabelledFeatures,
    text_CD: Tensor,
    task: Task,
    settings: DfzslSettings,
    progress: Report,
    generator: torch.Generator,
) -> LabelledFeatures:
    """Make features (M, D) of unseen classes; labels count all classes."""
    unseen = len(task.unseen_class_names)
    if settings.generator == "tfvaegan":
        report = within(progress, *SHARES[1:])
        features = tfvaegan.synthesize_features(
            virtual, text_CD, unseen, settings.constants.gan, report, generator
        )
        return LabelledFeatures(*features)
    count, S = settings.constants.gan.features_per_class, len(text_CD) - unseen
    labels_M = torch.arange(S, len(text_CD), device=text_CD.device).repeat_interleave(count)
    return LabelledFeatures(text_CD[S:].repeat_interleave(count, dim=0), labels_M)


def _classify(
    task: Task,
    virtual: LabelledFeatures,
    unseen: LabelledFeatures,
    text_CD: Tensor,
    settings: DfzslSettings,
    progress: Report,
    generator: torch.Generator,
) -> Tensor:
    """Train rows (C, D), from the text on, on virtual features of seen and made ones of unseen."""
    report, seen = within(progress, SHARES[2], 1.0), task.head.class_count
    offsets_C = torch.zeros(len(text_CD))
    if settings.adjust:
        counts_S = virtual.counts(seen)
        offsets_C = offsets(counts_S, len(text_CD) - seen, settings.r)
    return cosine_classifier.train_cosine(
        torch.cat([virtual.features_NF, unseen.features_NF]),
        torch.cat([virtual.labels_N, unseen.labels_N]),
        text_CD,
        settings.constants.rows,
        offsets_C,
        report,
        generator,
    )


def _check_sizes(head: Head, text_CD: Tensor) -> None:
    if text_CD.shape[1] != head.feature_size:
        raise InjectionError(
            f"method 'dfzsl' compares class embeddings with features: they have "
            f"{text_CD.shape[1]} numbers, the head's rows have {head.feature_size}",
            pointer="/class_embeddings",
        )


def expected_seconds(task: Task, settings: DfzslSettings, device: str | torch.device) -> float:
    """Predict the seconds of all stages."""
    (S, D), U = task.head.weight.shape, len(task.unseen_class_names)
    constants = settings.constants
    virtual, classifier = constants.virtual, constants.rows
    seen, unseen = S * virtual.count, U * constants.gan.features_per_class
    drawn = virtual.steps * virtual.draws * (virtual.classes or S)
    multiply_adds, updates = ((2 * S + NUMBER_DRAWN) * drawn + S * seen) * D, 0
    tower = task.text_tower
    tuning = constants.embedding_tuning if tower is None else constants.tuning
    reading = prompt_tuning.MAP_SIZE * 2 * D if tower is None else tower.multiply_adds
    multiply_adds += (tuning.reads(seen, S) + S + U) * reading
    if settings.generator == "tfvaegan":
        generator = constants.gan.size(seen, D, D)
        multiply_adds, updates = multiply_adds + generator[0], updates + generator[1]
    steps = classifier.epochs * -(-(seen + unseen) // classifier.batch_size)
    rows = steps * (S + U) * D
    return training_seconds(multiply_adds + rows * classifier.batch_size, updates + rows, device)

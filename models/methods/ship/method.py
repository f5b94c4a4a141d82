"""Features of unseen classes from synthesized prompts, and a prompt tuned on them as classifier.

SHIP, ICCV 2023, arXiv 2307.07397: an autoencoder whose decoder is the encoder's frozen text tower
(prompt_vae.py) makes features of classes from their names; one prompt for all classes is
tuned on them and on seen features, as many of each. A row is the tuned text of its class.

Differences from the specification: seen features are virtual ones around the head's directions,
not 16 pictures a class; unseen ones are drawn once, not anew for each batch; seen rows stay, and
calibration sets the new ones' lengths, the seen mean until then. By default few steps are taken,
and few classes compete in each. Descriptions of classes are not read, names are.
"""

import torch
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import text_rows
from headgraft.models.learners.prompt_tuning import tune
from headgraft.models.method import Method, training_seconds
from headgraft.models.methods.ship.prompt_vae import synthesize_features, train
from headgraft.models.methods.ship.settings import ShipSettings
from headgraft.models.progress import Progress, within
from headgraft.models.synthesis.virtual_features import (
    VirtualFeaturesConfig,
    query_directions,
    training_features,
)
from headgraft.models.task import Task


def synthesize(
    task: Task, settings: ShipSettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Return one row per unseen class, in order: float32, on the CPU.

    InjectionError without a text tower, or where its features are not of the head's size.
    """
    tower, head = task.text_tower, task.head
    if tower is None:
        raise InjectionError(
            "method 'ship' writes prompts: name an open_clip encoder, not vectors",
            pointer="/class_embeddings",
        )
    generator = torch.Generator().manual_seed(settings.seed)
    seen = training_features(
        task,
        query_directions(head).to(device, torch.float32),
        VirtualFeaturesConfig(steps=0, count=settings.virtual_per_class),
        within(progress, 0.0, 0.1),
        generator,
    )
    vae = train(
        tower,
        head.class_names,
        seen.features_NF,
        seen.labels_N,
        settings.constants.autoencoder,
        within(progress, 0.1, 0.5),
        generator,
    )
    count, names = settings.features_per_class, task.unseen_class_names
    made_MD, labels_M = synthesize_features(
        vae, tower, names, count, within(progress, 0.5, 0.6), generator
    )
    mixed_P = half_and_half(len(seen.labels_N), len(labels_M)).to(seen.labels_N.device)
    features_ND = torch.cat([seen.features_NF, made_MD.to(seen.features_NF)])
    labels_N = torch.cat([seen.labels_N, head.class_count + labels_M.to(seen.labels_N)])
    tuned = tune(
        tower,
        head.class_names + names,
        features_ND[mixed_P],
        labels_N[mixed_P],
        settings.constants.classifier,
        within(progress, 0.6, 1.0),
        generator,
        competing=head.class_count + len(names),
        wanted=len(names),
    )
    return head.with_rows(text_rows(tuned.text_CD, head), names)


def half_and_half(seen: int, unseen: int) -> Tensor:
    """Return indices (P,) into `seen` then `unseen` features, as many of each: the fewer repeat."""
    each = torch.arange(max(seen, unseen))
    return torch.cat([each % seen, seen + each % unseen])


def expected_seconds(task: Task, settings: ShipSettings, device: str | torch.device) -> float:
    """Predict the seconds of a fit: most are spent on reading prompts."""
    tower, (S, D), U = task.text_tower, task.head.weight.shape, len(task.unseen_class_names)
    assert tower is not None, "what it needs is checked before"
    seen, unseen = S * settings.virtual_per_class, U * settings.features_per_class
    autoencoder, classifier = settings.constants.autoencoder, settings.constants.classifier
    multiply_adds, updates = autoencoder.size(seen, D, tower.width)
    reads = autoencoder.steps_of(seen) * autoencoder.batch_size + unseen
    reads += classifier.reads(2 * max(seen, unseen), S + U)
    return training_seconds(multiply_adds + reads * tower.multiply_adds, updates, device)


METHOD = Method(
    name="ship",
    doc=__doc__,
    settings=ShipSettings,
    synthesize=synthesize,
    needs=frozenset({"text_tower"}),
    takes=frozenset({"features"}),
    candidate=False,  # too slow to be tried by "auto"
    iterative=True,
    expected_seconds=expected_seconds,
)

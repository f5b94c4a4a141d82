"""MSDN: attention between attributes and regions, and each class its row of attributes.

CVPR 2022. Two attention nets (networks.py) learn on labelled region features of seen
classes which attributes a picture shows, each by itself and from the other (loss.py).
A class is its attributes, so the result is no row but a head of its own kind
(models/heads/attribute.py), which takes further classes without training.

Differences from the specification: by default a first training holds out seen classes
and pictures, which tells how many epochs to train on all of them, the nets' shares and
the margin between seen and unseen classes; and Adam takes larger steps. The nets are saved as
what each attribute looks for, the product of its vector with the maps. The authors' constants are
the presets `paper` (CUB), `paper_sun` and `paper_awa2`, but for the epoch, which they choose on
test data: with `paper` all are trained.
"""

import torch

from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import POINTER
from headgraft.models.heads.attribute import AttributeHead, unit_attributes
from headgraft.models.heads.attribute_attention import AttributeMaps
from headgraft.models.method import Method, training_seconds
from headgraft.models.methods.msdn.hold_out import (
    ALPHAS,
    HoldOutResult,
    hold_out,
    train_with_hold_out,
)
from headgraft.models.methods.msdn.settings import MsdnSettings
from headgraft.models.methods.msdn.training import MARGIN, TrainingSet, train, training_size
from headgraft.models.progress import Progress, within
from headgraft.models.task import Task

SOLE_ALPHA = {"regions": (1.0,), "attributes": (0.0,), "both": ALPHAS}


def synthesize(
    task: Task, settings: MsdnSettings, *, device: str | torch.device, progress: Progress
) -> AttributeHead:
    """Return the head of all S + U classes, seen first, on the CPU.

    InjectionError without region features or attribute vectors.
    """
    progress(0.0, "features")
    regions, attributes = task.regions, task.attributes
    if regions is None or attributes is None:
        raise InjectionError("method 'msdn' needs region features and attributes", pointer=POINTER)
    names = task.head.class_names + task.unseen_class_names
    split, zero = task.head.class_count, settings.zero_negatives
    attributes_CA = torch.cat([task.class_embeddings_SA, task.unseen_class_embeddings_UA])
    unit_CA = unit_attributes(attributes_CA, names, zero_negatives=zero)
    on_device_CA, vectors_AV = unit_CA.to(device), attributes.vectors_AV
    generator = torch.Generator().manual_seed(settings.seed)
    alphas = SOLE_ALPHA[settings.nets] if settings.alpha is None else (settings.alpha,)
    held = None
    if settings.constants.hold_out:
        unseen = len(task.unseen_class_names)
        held = hold_out(regions.labels_N, split, unseen, settings.constants.hold_out, generator)
    result, trained_from = HoldOutResult(settings.epochs, alphas[len(alphas) // 2], MARGIN), 0.0
    if held:
        trained_from = 0.5
        result = train_with_hold_out(
            held,
            regions,
            vectors_AV,
            on_device_CA[:split],
            settings,
            within(progress, 0.0, trained_from),
            generator,
            alphas,
        )
    training_set = TrainingSet(
        regions,
        torch.arange(len(regions.labels_N)),
        vectors_AV,
        on_device_CA,
        (torch.arange(len(names)) >= split).to(device),
    )
    report = within(progress, trained_from, 1.0)
    longest = settings.model_copy(update={"epochs": result.epochs})
    maps = train(training_set, longest, report, generator)
    return AttributeHead(
        AttributeMaps(*(map_AD.cpu() for map_AD in maps.named().values())),
        unit_CA,
        names,
        split,
        result.alpha,
        result.margin if settings.margin is None else settings.margin,
        zero,
        attributes.names,
        result.accuracy,
    )


def expected_seconds(task: Task, settings: MsdnSettings, device: str | torch.device) -> float:
    """Predict the seconds of a fit to the last epoch, after a training with hold-out as long."""
    assert task.regions is not None, "what it needs is checked before"
    size = training_size(task.regions, task.class_embeddings_SA.shape[1], settings)
    return (2 if settings.constants.hold_out else 1) * training_seconds(*size, device)


METHOD = Method(
    name="msdn",
    doc=__doc__,
    settings=MsdnSettings,
    synthesize=synthesize,
    needs=frozenset({"features", "regions", "attributes"}),
    head="attribute",
    iterative=True,
    expected_seconds=expected_seconds,
)

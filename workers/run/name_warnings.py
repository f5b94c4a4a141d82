"""Warns of class names that cannot be right: nothing in them, read alike, or beside other rows."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.task import Task
from headgraft.workers.jobs.named_classes import meaning_warnings
from headgraft.workers.jobs.request import ClassEntry, NameEmbeddings
from headgraft.workers.jobs.spec import JobSpec

# On real heads with their own names the agreement lies 3 deviations above chance from 20 classes
# on, 30 from 100 on; with names in another order within 2.5 of it.
CLASSES_MIN, CLASSES_MAX = 20, 500
DRAWS = 30
DEVIATIONS = 2.5
SAME = 1 - 1e-5


def name_warnings(spec: JobSpec, task: Task) -> list[str]:
    """Return what is wrong with a job's class information, each a sentence."""
    found = []
    if isinstance(spec.class_embeddings, NameEmbeddings):
        classes = [*spec.head.class_names, *spec.add]
        found += meaning_warnings(spec.class_embeddings, spec.head.class_names, spec.add)
        embeddings_CA = torch.cat([task.class_embeddings_SA, task.unseen_class_embeddings_UA])
        found += _read_alike(classes, embeddings_CA)
    agreement = order_agreement(task.head.weight.float(), task.class_embeddings_SA.float())
    if agreement is not None and agreement < DEVIATIONS:
        found.append(
            "the class names tell nothing of the rows: classes of like meaning have no likelier "
            "rows than others; are the names in the order of the rows?"
        )
    return found


def _read_alike(classes: list[ClassEntry], embeddings_CA: Tensor) -> list[str]:
    """Name two classes of different texts that the encoder gives one and the same vector."""
    unit_CA = normalize(embeddings_CA.float(), dim=1)
    generator = torch.Generator().manual_seed(0)
    direction_A = torch.randn(unit_CA.shape[1], generator=generator)
    # Equal vectors lie side by side along any direction.
    order_C = (unit_CA @ direction_A).argsort()
    cosine_N = (unit_CA[order_C[1:]] * unit_CA[order_C[:-1]]).sum(dim=1)
    pairs = [
        (classes[int(order_C[at])], classes[int(order_C[at + 1])])
        for at in (cosine_N > SAME).nonzero()[:, 0].tolist()
    ]
    telling = [pair for pair in pairs if _text(pair[0]) != _text(pair[1])]
    if not telling:
        return []
    first, second = sorted(one.name for one in telling[0])
    return [
        f"the text encoder cannot tell {first!r} from {second!r}: it reads both alike"
        + (f", and {len(telling) - 1} more pairs" if len(telling) > 1 else "")
    ]


def _text(one: ClassEntry) -> tuple[str, str | None]:
    return one.name.casefold(), one.description


def order_agreement(rows_SD: Tensor, embeddings_SA: Tensor) -> float | None:
    """Return how far like classes have like rows, in deviations above names dealt at random.

    The correlation of the two matrices of cosines, against that of 30 shuffles (Mantel, 1967).
    None for fewer than 20 classes, where it says little.
    """
    count = len(rows_SD)
    if count < CLASSES_MIN:
        return None
    chosen = torch.linspace(0, count - 1, min(count, CLASSES_MAX)).long()
    rows_CC, names_CC = _likeness(rows_SD[chosen]), _likeness(embeddings_SA[chosen])
    generator = torch.Generator().manual_seed(0)
    dealt = []
    for _ in range(DRAWS):
        order_C = torch.randperm(len(chosen), generator=generator)
        dealt.append((rows_CC * names_CC[order_C][:, order_C]).sum())
    chance_N = torch.stack(dealt)
    own = (rows_CC * names_CC).sum() - chance_N.mean()
    return float(own / chance_N.std().clamp_min(1e-12))


def _likeness(points_CK: Tensor) -> Tensor:
    """Return the cosines (C, C) of centred points, centred, without those of a point to itself."""
    unit_CK = normalize(points_CK - points_CK.mean(dim=0), dim=1)
    cosine_CC = (unit_CK @ unit_CK.T).fill_diagonal_(0)
    count = len(points_CK)
    return (cosine_CC - cosine_CC.sum() / (count * (count - 1))).fill_diagonal_(0)

"""A made task in which attributes are seen in known regions of a picture, and nuisance elsewhere.

Each attribute looks like a direction of feature space, and attributes come in pairs that look much
alike. A picture shows every attribute of its class in a few regions of full strength; all other
regions show faint traces of several attributes, whatever the class, and a direction of their own,
so that the average over regions tells little. Unseen classes are combinations no seen class has.
"""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.models.task import Attributes, Task
from tests.region_features import RegionsInMemory


@dataclass(frozen=True)
class Plan:
    """The size of the task, and how hard it is."""

    seen: int = 40
    unseen: int = 10
    attributes: int = 24
    shown: int = 6  # attributes of a class
    places: int = 2  # regions that show one of them
    side: int = 7
    feature_size: int = 64
    vector_size: int = 16
    each: int = 10  # pictures of a seen class to learn from
    tested: int = 20  # pictures of any class
    alike: float = 0.8  # share of what an attribute looks like that its twin has too
    noise: float = 1.0
    trace: float = 0.5
    traces: int = 3


@dataclass(frozen=True, eq=False)
class Planted:
    """The task, test pictures of all classes, and where each shows its attributes (N, A, R)."""

    task: Task
    test: RegionsInMemory
    shown_NAR: Tensor
    unseen_C: Tensor

    def averaged(self) -> "Planted":
        """Return the same task on features averaged over all regions."""
        regions = self.task.regions
        assert isinstance(regions, RegionsInMemory)
        task = dataclasses.replace(self.task, regions=_averaged(regions))
        return dataclasses.replace(self, task=task, test=_averaged(self.test))


def plant(plan: Plan, seed: int) -> Planted:
    """Make a task and its test pictures."""
    generator = torch.Generator().manual_seed(seed)
    classes = plan.seen + plan.unseen
    attributes_CA = _combinations(plan, classes, generator)
    looks_AD = _looks(plan, generator)
    vectors_AV = torch.randn(plan.attributes, plan.vector_size, generator=generator)
    seen_N = torch.arange(plan.seen).repeat_interleave(plan.each)
    tested_N = torch.arange(classes).repeat_interleave(plan.tested)
    train, _ = _pictures(plan, attributes_CA, looks_AD, seen_N, generator)
    test, shown_NAR = _pictures(plan, attributes_CA, looks_AD, tested_N, generator)
    names = tuple(f"class {number}" for number in range(classes))
    # The method does not look at the head's rows.
    head = Head(torch.eye(plan.seen), None, names[: plan.seen])
    task = Task(
        head,
        attributes_CA[: plan.seen],
        attributes_CA[plan.seen :],
        names[plan.seen :],
        attributes=Attributes(vectors_AV),
        regions=train,
    )
    return Planted(task, test, shown_NAR, torch.arange(classes) >= plan.seen)


def _combinations(plan: Plan, classes: int, generator: torch.Generator) -> Tensor:
    """Draw as many different sets of attributes (C, A) as there are classes."""
    found: dict[tuple[int, ...], None] = {}
    while len(found) < classes:
        chosen = torch.randperm(plan.attributes, generator=generator)[: plan.shown]
        found[tuple(sorted(chosen.tolist()))] = None
    attributes_CA = torch.zeros(classes, plan.attributes)
    return attributes_CA.scatter_(1, torch.tensor(list(found)), 1.0)


def _looks(plan: Plan, generator: torch.Generator) -> Tensor:
    """Draw what attributes look like (A, D): pairs of directions that have much in common."""
    size = plan.feature_size
    common_AD = normalize(torch.randn(plan.attributes // 2, size, generator=generator))
    own_AD = normalize(torch.randn(plan.attributes, size, generator=generator))
    both_AD = plan.alike**0.5 * common_AD.repeat_interleave(2, 0) + (1 - plan.alike) ** 0.5 * own_AD
    return normalize(both_AD)


def _pictures(
    plan: Plan,
    attributes_CA: Tensor,
    looks_AD: Tensor,
    labels_N: Tensor,
    generator: torch.Generator,
) -> tuple[RegionsInMemory, Tensor]:
    count, regions = len(labels_N), plan.side**2
    shape = (count, regions, plan.feature_size)
    noise_NRD = plan.noise * torch.randn(shape, generator=generator) / plan.feature_size**0.5
    order_NR = torch.rand(count, regions, generator=generator).argsort(dim=1)
    # The numbers of a picture's attributes, each as often as it has places.
    present_NK = attributes_CA[labels_N].nonzero()[:, 1].view(count, -1)
    present_NP = present_NK.repeat_interleave(plan.places, dim=1)
    shown_NAR = torch.zeros(count, len(looks_AD), regions, dtype=torch.bool)
    places_NP = order_NR[:, : present_NP.shape[1]]
    shown_NAR[torch.arange(count)[:, None], present_NP, places_NP] = True
    nuisance_NRD = _nuisance(plan, looks_AD, shape, generator)
    planted_NRD = shown_NAR.float().transpose(1, 2) @ looks_AD
    is_free_NR = ~shown_NAR.any(dim=1)
    features_NRD = planted_NRD + noise_NRD + nuisance_NRD * is_free_NR[..., None]
    return RegionsInMemory(features_NRD.transpose(1, 2).contiguous(), labels_N), shown_NAR


def _nuisance(
    plan: Plan, looks_AD: Tensor, shape: tuple[int, int, int], generator: torch.Generator
) -> Tensor:
    drawn = torch.randint(len(looks_AD), (*shape[:2], plan.traces), generator=generator)
    faint_NRD = plan.trace * looks_AD[drawn].sum(dim=2)
    return faint_NRD + 0.8 * normalize(torch.randn(shape, generator=generator), dim=2)


def _averaged(regions: RegionsInMemory) -> RegionsInMemory:
    return RegionsInMemory(regions.features_NDR.mean(dim=2, keepdim=True), regions.labels_N)

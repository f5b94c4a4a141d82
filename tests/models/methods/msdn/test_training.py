"""What a training of msdn sees of the pictures, and when it ends."""

import dataclasses
from dataclasses import dataclass, field

import torch
from torch.nn.functional import normalize

from headgraft.models.heads.attribute_attention import AttributeMaps, attribute_scores
from headgraft.models.methods.msdn.settings import MsdnConstants, MsdnSettings
from headgraft.models.methods.msdn.training import TrainingSet, train
from headgraft.models.progress import ignore
from tests.models.builders import make_regions
from tests.region_features import RegionsInMemory

CONSTANTS = MsdnConstants(batch_size=5, min_steps_per_epoch=1)


class Small(MsdnSettings):
    """Settings of three epochs of small batches."""

    epochs: int = 3

    @property
    def constants(self) -> MsdnConstants:
        return CONSTANTS


class Balanced(Small):
    """The same, with balanced batches."""

    @property
    def constants(self) -> MsdnConstants:
        return dataclasses.replace(CONSTANTS, balanced=True)


class Quick(Small):
    """The same in large steps."""

    @property
    def constants(self) -> MsdnConstants:
        return dataclasses.replace(CONSTANTS, learning_rate=0.03)


class ManySteps(Small):
    """The same, in 15 steps an epoch at least."""

    @property
    def constants(self) -> MsdnConstants:
        return dataclasses.replace(CONSTANTS, min_steps_per_epoch=15)


class WithoutDecay(Small):
    """The same, its weights drawn to nowhere."""

    @property
    def constants(self) -> MsdnConstants:
        return dataclasses.replace(CONSTANTS, weight_decay=0.0)


@dataclass(frozen=True, eq=False)
class Counted(RegionsInMemory):
    """Region features that note which pictures are taken."""

    taken: list[int] = field(default_factory=list)

    def take(self, numbers_B: torch.Tensor) -> torch.Tensor:
        self.taken.extend(numbers_B.tolist())
        return super().take(numbers_B)

    def counts(self) -> list[int]:
        return torch.tensor(self.taken).bincount(minlength=len(self.labels_N)).tolist()


def training_set(regions: RegionsInMemory | None = None, numbers: range = range(48)) -> TrainingSet:
    generator = torch.Generator().manual_seed(2)
    attributes_CA = normalize(torch.rand(15, 4, generator=generator))
    vectors_AV = torch.randn(4, 3, generator=generator)
    return TrainingSet(
        regions or make_regions(), torch.tensor(numbers), vectors_AV, attributes_CA,
        torch.arange(15) >= 12,
    )  # fmt: skip


def run(one: TrainingSet, settings: MsdnSettings | None = None) -> AttributeMaps:
    return train(one, settings or Small(), ignore, torch.Generator().manual_seed(0))


def test_every_picture_of_the_lesson_should_be_seen_once_an_epoch_and_no_other() -> None:
    held = make_regions()
    regions = Counted(held.features_NDR, held.labels_N)

    run(training_set(regions, range(20)))

    assert regions.counts() == [3] * 20 + [0] * 28


def test_balanced_batches_should_show_a_rare_class_as_often_as_a_common_one() -> None:
    held = make_regions(classes=2, each=100)
    rare_N = torch.tensor([*range(100), 100, 101])
    regions = Counted(held.features_NDR, held.labels_N)

    run(dataclasses.replace(training_set(regions), numbers_M=rare_N), Balanced(epochs=4))

    assert len(regions.taken) == 4 * 102
    assert 150 < sum(regions.counts()[100:102]) < 260


def test_it_should_end_when_its_watcher_has_seen_enough() -> None:
    seen: list[AttributeMaps] = []

    def watch(maps: AttributeMaps) -> bool:
        seen.append(maps)
        return len(seen) == 2

    train(training_set(), Small(), ignore, torch.Generator().manual_seed(0), watch)

    assert len(seen) == 2


def test_training_should_lower_the_loss() -> None:
    losses: list[float] = []

    train(
        training_set(), Quick(epochs=20),
        lambda _fraction, _stage, loss: losses.append(loss or 0.0),
        torch.Generator().manual_seed(0),
    )  # fmt: skip

    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_few_pictures_should_be_walked_over_again_in_an_epoch() -> None:
    losses: list[float] = []

    train(
        training_set(), ManySteps(epochs=2),
        lambda _fraction, _stage, loss: losses.append(loss or 0.0),
        torch.Generator().manual_seed(0),
    )  # fmt: skip

    assert len(losses) == 2 * 20  # ten steps show every picture once


def test_a_net_that_is_left_out_should_stay_as_it_began() -> None:
    features_NDR = make_regions().features_NDR
    alone = run(training_set(), Small(nets="regions"))
    other = run(training_set(), WithoutDecay(nets="attributes"))

    assert not attribute_scores(features_NDR, alone.stacked())[1].any()
    assert not other.region_attention_AD.any()


def test_distillation_should_bring_the_two_nets_together() -> None:
    features_NDR = make_regions().features_NDR

    apart = []
    for weight in (0.0, 10.0):
        maps = run(training_set(), Small(distillation=weight, epochs=10))
        first_NA, second_NA = attribute_scores(features_NDR, maps.stacked())
        apart.append((first_NA - second_NA).norm().item())

    assert apart[1] < 0.9 * apart[0]

"""Batches of features, and the classes that compete in them."""

import torch
from torch import Tensor

from headgraft.models.features.batches import Batch, class_batches

LABELS = torch.arange(9).repeat_interleave(5)  # nine of ten classes have features


def batches(size: int = 6, steps: int = 8, few: int = 0, seed: int = 0) -> list[Batch]:
    generator = torch.Generator().manual_seed(seed)
    return list(class_batches(LABELS, 10, size, steps, few, generator))


def shown(batch: Batch) -> Tensor:
    return batch.classes_M[batch.targets_B]


def test_every_feature_should_be_shown_once_before_any_is_shown_again() -> None:
    found = torch.cat([batch.features_B for batch in batches()])

    assert sorted(found[: len(LABELS)].tolist()) == list(range(len(LABELS)))


def test_all_classes_should_compete_where_no_number_is_given() -> None:
    for batch in batches() + batches(few=10):
        assert batch.classes_M.tolist() == list(range(10))
        assert torch.equal(shown(batch), LABELS[batch.features_B])


def test_few_classes_should_compete_and_no_other_be_shown() -> None:
    for batch in batches(few=3):
        assert len(set(batch.classes_M.tolist())) == 3
        assert len(set(batch.features_B.tolist())) == 6
        assert torch.equal(shown(batch), LABELS[batch.features_B])


def test_a_class_without_features_should_not_be_one_of_the_few() -> None:
    competed = torch.cat([batch.classes_M for batch in batches(few=8)])

    assert 9 not in competed.tolist()
    assert len(set(competed.tolist())) == 9


def test_fewer_features_than_a_batch_holds_should_be_shown_all() -> None:
    (batch,) = batches(size=100, steps=1, few=2)

    assert len(batch.features_B) == 10


def test_the_same_seed_should_give_the_same_batches() -> None:
    for one, same, other in zip(
        batches(few=3), batches(few=3), batches(few=3, seed=1), strict=True
    ):
        assert torch.equal(one.features_B, same.features_B)
        assert not torch.equal(one.features_B, other.features_B)

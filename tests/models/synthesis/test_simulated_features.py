"""What the virtual features promise."""

import pytest
import torch

from headgraft.models.synthesis.simulated_features import GOOD, IMAGES, OF_MEANS, simulate_features


def rows(classes: int, features: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.linspace(2, 0.2, features)
    return torch.randn(classes, features, generator=generator) * spectrum + 5


@pytest.mark.parametrize("accuracy", [0.5, 0.85, 0.95])
def test_the_head_should_be_as_accurate_on_them_as_it_is_said_to_be(accuracy: float) -> None:
    weight_SD = rows(60, 40)

    features = simulate_features(weight_SD, accuracy)

    right_N = features.scores(weight_SD - weight_SD.mean(dim=0)).argmax(1) == features.labels_N
    assert features.head_accuracy == pytest.approx(accuracy, abs=0.02)
    assert float(right_N.float().mean()) == pytest.approx(features.head_accuracy)


def test_the_length_of_the_rows_should_not_matter() -> None:
    first, second = (
        simulate_features(rows(40, 20), 0.85),
        simulate_features(rows(40, 20) * 100, 0.85),
    )

    assert first.head_accuracy == pytest.approx(second.head_accuracy, abs=0.01)


def test_they_should_be_the_same_for_the_same_seed_only() -> None:
    weight_SD = rows(30, 20)

    first, again, other = (
        simulate_features(weight_SD, 0.85),
        simulate_features(weight_SD, 0.85),
        simulate_features(weight_SD, 0.85, seed=1),
    )

    assert torch.equal(first.features_NF, again.features_NF)
    assert not torch.equal(first.features_NF, other.features_NF)


def test_few_classes_should_have_many_features_each_and_many_classes_one() -> None:
    assert simulate_features(rows(4, 8), 0.85).labels_N.bincount().tolist() == [IMAGES // 4] * 4
    assert int(simulate_features(rows(IMAGES + 100, 8), 0.85).labels_N.bincount().max()) == 1


def test_more_classes_than_features_should_work() -> None:
    features = simulate_features(rows(200, 16), 0.8)

    assert features.basis_DR.shape == (16, 16)
    assert bool(torch.isfinite(features.features_NF).all())


def test_a_list_of_class_means_should_be_trusted_less_than_a_discriminant() -> None:
    generator = torch.Generator().manual_seed(0)
    spectrum = torch.logspace(0, -2, 60)
    means_SD = torch.randn(200, 60, generator=generator) * spectrum
    discriminant_SD = torch.randn(200, 60, generator=generator)

    assert simulate_features(means_SD, None).wanted_accuracy == OF_MEANS
    assert simulate_features(discriminant_SD, None).wanted_accuracy == GOOD


def test_rows_predicted_for_a_good_head_should_change_nothing() -> None:
    features = simulate_features(rows(60, 40), 0.9)

    assert features.knowing(rows(60, 40, seed=1), torch.ones(60, dtype=torch.bool)) is features


def test_rows_predicted_for_a_weak_head_should_leave_it_as_right_as_it_is() -> None:
    weight_SD = rows(100, 40)
    features = simulate_features(weight_SD, 0.5)

    knowing = features.knowing(rows(100, 40, seed=1) + weight_SD, torch.ones(100, dtype=torch.bool))

    assert knowing.head_accuracy == pytest.approx(0.5, abs=0.05)
    assert torch.equal(knowing.labels_N, features.labels_N)
    assert not torch.equal(knowing.features_NF, features.features_NF)

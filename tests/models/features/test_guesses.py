"""What a head's guesses in place of labels promise."""

import pytest
import torch

from headgraft.models.errors import InjectionError
from headgraft.models.features.guesses import crowded, guessed_features
from headgraft.models.features.labelled import CalibrationFeatures, Source, UnlabelledFeatures
from tests.models.builders import make_head


def test_the_heads_best_guess_should_be_the_label() -> None:
    head = make_head(classes=30, features=20)
    features_ND = torch.randn(90, 20, generator=torch.Generator().manual_seed(1))

    guessed = guessed_features(head, UnlabelledFeatures(features_ND), 0.7)

    assert torch.equal(guessed.labels_N, head.logits(features_ND).argmax(dim=1))
    assert torch.equal(guessed.features_NF, features_ND)
    assert (guessed.head_accuracy, guessed.source) == (0.7, "unlabelled")


def test_a_head_whose_guesses_lead_by_more_should_be_taken_for_a_better_one() -> None:
    head = make_head(classes=30, features=20, bias=False)
    generator = torch.Generator().manual_seed(1)
    labels_N = torch.arange(30).repeat(4)

    def accuracy(noise: float) -> float:
        noise_ND = noise * torch.randn(120, 20, generator=generator)
        features_ND = head.weight[labels_N] + noise_ND
        return guessed_features(head, UnlabelledFeatures(features_ND), None).head_accuracy

    assert 0 < accuracy(3.0) < accuracy(0.3) < 1


def test_neither_the_length_of_features_nor_a_head_of_one_class_should_matter() -> None:
    head = make_head(classes=30, features=20, bias=False)
    features_ND = torch.randn(90, 20, generator=torch.Generator().manual_seed(1))

    first, longer = (
        guessed_features(head, UnlabelledFeatures(times * features_ND), None).head_accuracy
        for times in (1.0, 50.0)
    )

    assert first == pytest.approx(longer, abs=1e-4)
    alone = guessed_features(make_head(classes=1), UnlabelledFeatures(torch.ones(3, 6)), None)
    assert alone.head_accuracy == 1


def test_features_that_do_not_fit_the_head_should_be_refused() -> None:
    with pytest.raises(InjectionError, match=r"\(3, 5\); this head reads 6 numbers"):
        guessed_features(make_head(), UnlabelledFeatures(torch.ones(3, 5)), None)


def test_generic_pictures_that_all_look_like_a_few_classes_should_be_called_crowded() -> None:
    def guessed(classes: int, *, generic: bool) -> CalibrationFeatures:
        labels_N = torch.arange(600) % classes
        source: Source = "generic" if generic else "unlabelled"
        return CalibrationFeatures(torch.zeros(600, 2), labels_N, 0.5, source)

    assert crowded(guessed(5, generic=True))
    assert not crowded(guessed(60, generic=True))
    assert not crowded(guessed(5, generic=False))

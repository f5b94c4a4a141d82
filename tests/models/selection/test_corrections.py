"""How what a simulation says is corrected."""

import pytest
import torch

from headgraft.models.selection.corrections import CORRECTIONS, KNOWN, Correction, correction


def test_no_correction_should_change_nothing() -> None:
    expected = torch.tensor([0.01, 0.4, 0.99])

    torch.testing.assert_close(Correction().of(expected, 0.3), expected)


def test_an_accuracy_should_be_moved_on_the_logit_scale() -> None:
    rule = Correction(offset=1.0, slope=0.5, per_accuracy=2.0)

    corrected = float(rule.of(torch.tensor(0.8), 0.5))

    # logit(0.8) = log 4, logit(0.5) = 0.
    assert torch.tensor(corrected).logit() == pytest.approx(1.0 + 0.5 * 1.3863, abs=1e-3)


@pytest.mark.parametrize("ground", sorted(CORRECTIONS))
def test_corrected_accuracies_should_keep_their_order_and_be_accuracies(ground: str) -> None:
    expected = torch.linspace(0, 1, 21)
    for part in ("T1", "u", "s"):
        for known in (False, True):
            corrected = correction(ground, part, known=known).of(expected, 0.7)  # type: ignore[arg-type]
            assert bool((corrected.diff() >= 0).all())
            assert 0 <= float(corrected.min()) <= float(corrected.max()) <= 1


def test_a_known_accuracy_should_narrow_what_is_said_of_the_old_classes() -> None:
    for ground in ("rows", "generic", "unlabelled"):
        assert KNOWN[ground].deviation < CORRECTIONS[ground]["s"].deviation


def test_the_weaker_the_ground_the_wider_the_draws() -> None:
    def width(ground: str) -> float:
        rule = correction(ground, "u", known=True)  # type: ignore[arg-type]
        draws = rule.drawn(torch.full((2000,), 0.5), torch.Generator().manual_seed(0))
        return float(draws.quantile(0.95) - draws.quantile(0.05))

    assert 0 < width("labelled") < width("unlabelled") < width("generic") < width("rows")

"""The presets of msdn are the authors' constants."""

import pytest

from headgraft.models.methods.msdn.settings import PAPERS, Settings


@pytest.mark.parametrize(
    ("preset", "calibration", "distillation", "momentum", "epochs", "alpha"),
    [
        ("paper", 0.1, 0.001, 0.9, 30, 0.9),
        ("paper_sun", 0.0001, 0.01, 0.9, 70, 0.7),
        ("paper_awa2", 0.12, 1e-7, 0.0, 50, 1.0),
    ],
)
def test_a_papers_preset_should_fill_in_its_constants(
    preset: str,
    calibration: float,
    distillation: float,
    momentum: float,
    epochs: int,
    alpha: float,
) -> None:
    found = Settings.model_validate({"preset": preset})

    assert (found.calibration, found.distillation) == (calibration, distillation)
    assert (found.momentum, found.epochs, found.alpha) == (momentum, epochs, alpha)
    assert (found.descent, found.learning_rate, found.weight_decay) == ("rmsprop", 1e-4, 1e-4)
    assert (found.batch_size, found.margin, found.hold_out) == (50, 1.0, 0.0)
    assert found.balanced == (preset != "paper")
    assert found.zero_negatives == (preset == "paper_awa2")


def test_what_is_given_should_go_before_a_preset() -> None:
    assert Settings.model_validate({"preset": "paper", "epochs": 3}).epochs == 3


def test_every_preset_should_be_legal_in_full() -> None:
    for preset in PAPERS:
        Settings.model_validate({"preset": preset})

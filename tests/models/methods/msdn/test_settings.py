"""The presets of msdn are the authors' constants."""

import pytest

from headgraft.models.methods.msdn.settings import PAPERS, MsdnSettings


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
    found = MsdnSettings.model_validate({"preset": preset})
    constants = found.constants

    assert (found.calibration, found.distillation) == (calibration, distillation)
    assert (constants.momentum, found.epochs, found.alpha) == (momentum, epochs, alpha)
    assert (constants.optimizer, constants.learning_rate) == ("rmsprop", 1e-4)
    assert (constants.batch_size, constants.weight_decay) == (50, 1e-4)
    assert (found.margin, constants.hold_out) == (1.0, 0.0)
    assert constants.balanced == (preset != "paper")
    assert found.zero_negatives == (preset == "paper_awa2")


def test_what_is_given_should_go_before_a_preset() -> None:
    assert MsdnSettings.model_validate({"preset": "paper", "epochs": 3}).epochs == 3


def test_every_preset_should_be_legal_in_full() -> None:
    for preset in PAPERS:
        MsdnSettings.model_validate({"preset": preset})

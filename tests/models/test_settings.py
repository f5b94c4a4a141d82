"""Presets: what a publication sets, and what stays as the user gave it."""

from types import MappingProxyType

import pytest
from pydantic import ValidationError

from headgraft.models.settings import MethodSettings


class SomeSettings(MethodSettings):
    PRESETS = MappingProxyType(
        {("preset", "paper"): {"epochs": 60}, ("faithful", True): {"epochs": 1000}}
    )

    preset: str = "default"
    faithful: bool = False
    epochs: int = 5
    seed: int = 0


def test_absent_settings_should_be_the_presets_when_it_is_chosen() -> None:
    chosen = SomeSettings.model_validate({"preset": "paper", "seed": 3})

    assert (chosen.epochs, chosen.preset, chosen.seed) == (60, "paper", 3)
    assert SomeSettings(faithful=True).epochs == 1000


def test_a_setting_that_the_user_gave_should_stay() -> None:
    assert SomeSettings(preset="paper", epochs=7).epochs == 7


@pytest.mark.parametrize("settings", [{}, {"preset": "default"}, {"faithful": 1}])
def test_without_a_preset_the_defaults_should_stay(settings: dict[str, object]) -> None:
    assert SomeSettings.model_validate(settings).epochs == 5


@pytest.mark.parametrize("settings", [{"epoch": 1}, [], None, "paper", {"preset": ["paper"]}])
def test_an_unknown_setting_or_no_mapping_should_be_refused(settings: object) -> None:
    with pytest.raises(ValidationError):
        SomeSettings.model_validate(settings)

"""Presets: what a publication sets, and what stays as given."""

from typing import Any

import pytest
from pydantic import JsonValue

from headgraft.models.settings import filled

PAPER: dict[str, JsonValue] = {"epochs": 60, "preset": "default"}


def test_absent_settings_should_be_the_published_ones_when_asked_for() -> None:
    given = {"preset": "paper", "seed": 3}

    assert filled(given, "preset", "paper", PAPER) == {"epochs": 60, "preset": "paper", "seed": 3}


def test_a_setting_that_is_given_should_stay() -> None:
    assert filled({"preset": "paper", "epochs": 7}, "preset", "paper", PAPER)["epochs"] == 7


@pytest.mark.parametrize("given", [{}, {"preset": "default"}, {"faithful": 1}, [], None, "paper"])
def test_anything_else_should_come_back_as_it_is(given: Any) -> None:
    assert filled(given, "preset", "paper", PAPER) is given
    assert filled(given, "faithful", True, PAPER) is given

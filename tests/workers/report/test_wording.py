"""The sentences of the page."""

from typing import Any

import pytest

from headgraft.workers.jobs.report import Estimate, Figure
from headgraft.workers.jobs.summary import FeatureCounts
from headgraft.workers.report import wording
from tests.workers.report import reports
from tests.workers.report.reports import read

NOTHING = Figure(value=0.5, low=0.0, high=1.0)
UNKNOWN = Estimate(T1=NOTHING, u=NOTHING, s=NOTHING, H=NOTHING, reasons=["too few classes"])


def test_an_estimate_over_everything_should_count_as_unknown() -> None:
    assert wording.known_estimate(Estimate.model_validate(reports.estimate()))
    assert not wording.known_estimate(UNKNOWN)
    assert not wording.known_estimate(None)
    assert wording.measures(UNKNOWN) == []


def test_one_class_should_be_one_class() -> None:
    assert "With 1 new class added" in wording.headline(read(reports.report(["a"])))
    assert "1,000 old classes" in wording.headline(read(reports.report(["a"], seen=1000)))


@pytest.mark.parametrize(
    ("labelled", "classes", "generic", "sentence"),
    [
        (9, 1, False, "9 labelled ones of 1 old class."),
        (0, 0, False, "9 without a label, of what the head is used for."),
        (7, 3, True, "7 labelled ones of 3 old classes and 2 without a label, which show anything"),
    ],
)
def test_features_should_be_counted_by_what_is_known_of_them(
    labelled: int, classes: int, generic: bool, sentence: str
) -> None:
    counts = FeatureCounts(count=9, labelled=labelled, classes=classes, generic=generic)

    assert f"features of pictures: {sentence}" in wording.features_sent(counts)


@pytest.mark.parametrize(
    ("settings", "chosen"),
    [({"gamma": 4.0, "ridge": 0.1}, "gamma 4"), ({"gamma": 9.0, "ridge": 0.1}, None)],
)
def test_the_chosen_candidate_should_be_found_by_its_settings(
    settings: dict[str, Any], chosen: str | None
) -> None:
    made = {**reports.report(), "settings": settings}
    lines = wording.candidates(read(made))
    assert [line.settings for line in lines if line.chosen] == ([chosen] if chosen else [])
    assert lines[0].settings == (chosen or "gamma 2")
    assert lines[-1].skipped


def test_a_candidate_as_it_comes_should_yield_to_one_that_names_its_settings() -> None:
    made = {
        **reports.report(),
        "tried": [reports.tried("ridge"), reports.tried("ridge", gamma=2.0)],
    }
    assert [line.settings for line in wording.candidates(read(made)) if line.chosen] == ["gamma 2"]


def test_settings_should_be_written_short() -> None:
    assert wording.settings_text({"a": 0.30000000000000004, "b": True, "c": "x"}) == (
        "a 0.3, b True, c x"
    )

"""Progress: out goes how far, in comes stop."""

import threading

import pytest

from headgraft.models.progress import Progress, Stopped, within


def test_it_should_pass_on_what_it_is_told() -> None:
    heard: list[tuple[float, str, float | None]] = []

    Progress(lambda *report: heard.append(report))(0.5, "training", 1.25)

    assert heard == [(0.5, "training", 1.25)]


def test_it_should_raise_and_report_nothing_once_stopped() -> None:
    heard: list[float] = []
    should_stop = threading.Event()
    progress = Progress(lambda fraction, _stage, _loss: heard.append(fraction), should_stop)
    should_stop.set()

    with pytest.raises(Stopped):
        progress(0.5, "training")

    assert heard == []


def test_a_stage_should_take_its_part_of_the_whole() -> None:
    heard: list[tuple[float, str, float | None]] = []
    report = within(lambda *told: heard.append(told), 0.25, 0.75)

    report(0.0, "first", None)
    report(0.5, "first", 2.0)
    report(1.0, "first", 1.0)

    assert heard == [(0.25, "first", None), (0.5, "first", 2.0), (0.75, "first", 1.0)]

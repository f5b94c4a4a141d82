"""Progress: out goes how far, in comes stop."""

import threading

import pytest

from models.progress import Progress, Stopped


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

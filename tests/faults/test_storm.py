"""A minute of the storm that `make storm` lets rage for ten."""

from pathlib import Path

import pytest

from tests.faults.storm import Storm


@pytest.mark.timeout(400)
def test_a_storm_should_break_no_promise(tmp_path: Path) -> None:
    count = Storm(tmp_path, seconds=60, jobs=30, seed=1).run()
    assert count.wrong == []
    assert count.jobs >= 30
    assert count.kills + count.pauses >= 8
    assert set(count.statuses) <= {"succeeded", "failed"}
    assert count.statuses["succeeded"] > count.jobs / 2

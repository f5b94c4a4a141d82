"""A short storm; `make storm` and `make soak` let it rage for ten minutes."""

from pathlib import Path

import pytest

from tests.faults.storm import Storm

SECONDS = 12.0
JOBS = 8


@pytest.mark.timeout(400)
def test_a_storm_should_break_no_promise(tmp_path: Path) -> None:
    count = Storm(tmp_path, seconds=SECONDS, jobs=JOBS, seed=1).run()
    assert count.wrong == []
    assert count.jobs >= JOBS
    assert count.kills + count.pauses >= 2
    assert set(count.statuses) <= {"succeeded", "failed"}
    assert count.statuses["succeeded"] > count.jobs / 2

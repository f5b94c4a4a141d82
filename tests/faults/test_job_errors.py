"""A job that fails for reasons of its own: it says why, and the worker does the next one."""

import pytest

from tests.faults.conftest import Bench


@pytest.fixture(scope="module")
def working(shared_bench: Bench) -> Bench:
    """Start a worker, for all tests of this file."""
    shared_bench.processes.start_worker()
    return shared_bench


def test_a_method_that_ignores_the_stop_should_time_out_and_the_next_job_run(
    working: Bench,
) -> None:
    job = working.run("deaf", timeout_seconds=1, seconds=600)
    after = working.run("sleeps", seconds=0.1)
    record = working.ended(job)
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.code == "timeout"
    assert "timeout_seconds, 1" in record.error.message
    assert working.ended(after).status == "succeeded"
    assert working.read(after).worker != record.worker


def test_a_job_that_stops_when_told_should_time_out_in_the_same_process(working: Bench) -> None:
    record = working.ended(working.run("sleeps", timeout_seconds=1, seconds=600))
    after = working.ended(working.run("sleeps", seconds=0.1))
    assert record.error is not None
    assert record.error.code == "timeout"
    assert after.worker == record.worker


def test_running_out_of_memory_should_fail_the_job_and_keep_the_worker(working: Bench) -> None:
    record = working.ended(working.run("hungry"))
    after = working.ended(working.run("sleeps", seconds=0.1))
    assert record.error is not None
    assert record.error.code == "out_of_memory"
    assert after.worker == record.worker


def test_our_own_defect_should_show_the_job_id_and_nothing_else(working: Bench) -> None:
    record = working.ended(job := working.run("faulty"))
    assert record.error is not None
    assert record.error.code == "internal_error"
    assert record.error.message == f"internal error in job {job}"
    [logged] = [
        line for line in working.log() if line["event"] == "job_error" and line["job"] == job
    ]
    assert "a detail nobody outside should read" in logged["exception"]

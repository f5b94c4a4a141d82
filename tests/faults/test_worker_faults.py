"""What becomes of a job when its worker dies, hangs, is paused, is told to go, or runs dry."""

import os
import signal

import psutil
import pytest

from headgraft.workers.jobs.spec import Record
from tests.faults.conftest import Bench
from tests.processes import eventually


def test_a_method_that_kills_its_process_should_fail_after_three_attempts(bench: Bench) -> None:
    bench.processes.start_worker(HEADGRAFT_LEASE_SECONDS="1")
    record = bench.ended(job := bench.run("deadly"))
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.code == "worker_lost"
    assert (record.attempt, bench.starts(job)) == (3, 3)
    after = bench.run("sleeps", seconds=0.1)
    assert bench.ended(after).status == "succeeded"


def test_a_dead_device_should_move_the_job_to_a_new_process_each_time(bench: Bench) -> None:
    bench.processes.start_worker(HEADGRAFT_LEASE_SECONDS="1")
    record = bench.ended(job := bench.run("poisoned"))
    assert record.error is not None
    assert record.error.code == "worker_lost"
    assert bench.starts(job) == 3
    workers = {line["worker"] for line in bench.log() if line["event"] == "job_begun"}
    assert len(workers) == 3


@pytest.mark.parametrize(
    "point", ["before_begin", "after_begin", "before_manifest", "before_commit"]
)
def test_a_kill_between_two_lines_should_cost_an_attempt_at_most(bench: Bench, point: str) -> None:
    fault, flag = bench.fault(point, "kill")
    bench.processes.start_worker(HEADGRAFT_LEASE_SECONDS="1", **fault)
    record = bench.ended(job := bench.run("sleeps", seconds=0.2))
    assert flag.exists()
    assert record.status == "succeeded"
    assert record.attempt == (1 if point == "before_begin" else 2)
    assert record.manifest is not None
    published = bench.store.read(record.manifest.prefix + "manifest.json")
    assert b"head.safetensors" in published
    assert bench.ledger.client.xlen(bench.ledger.key("queue")) == 0
    assert bench.starts(job) == record.attempt


def test_a_paused_and_replaced_worker_should_be_refused_and_the_job_survive_its_heir(
    bench: Bench,
) -> None:
    """Pause A beyond its lease, let B take over, resume A, kill B: one result in the end."""
    quick = {"HEADGRAFT_LEASE_SECONDS": "2"}
    first = bench.processes.start_worker(**quick)
    job = bench.run("sleeps", seconds=8)
    begun = bench.running(job)
    [child] = bench.processes.children(first)
    os.kill(child, signal.SIGSTOP)
    heir = bench.processes.start_worker(**quick)
    bench.until(job, lambda record: record.attempt == 2 and record.progress > 0, 180)
    os.kill(child, signal.SIGCONT)
    eventually(lambda: refused(bench, begun.token), 60, "the paused worker is refused")
    heir_family = [heir.pid, *bench.processes.children(heir)]
    for pid in heir_family:
        os.kill(pid, signal.SIGKILL)
    record = bench.ended(job)
    assert (record.status, record.attempt) == ("succeeded", 3)
    assert len(bench.results(job)) == 1
    assert record.worker == begun.worker


def refused(bench: Bench, token: str) -> bool:
    return any(
        line["event"] == "job_ended" and line["token"] == token[:8] and line["answer"] == "lost"
        for line in bench.log()
    )


def test_a_worker_paused_at_its_commit_should_not_commit_over_its_heir(bench: Bench) -> None:
    fault, flag = bench.fault("before_commit", "stop")
    first = bench.processes.start_worker(HEADGRAFT_LEASE_SECONDS="2", **fault)
    job = bench.run("sleeps", seconds=0.2)
    eventually(flag.exists, 60, "the worker stands before its commit")
    bench.processes.start_worker(HEADGRAFT_LEASE_SECONDS="2")
    record = bench.ended(job)
    assert (record.status, record.attempt) == ("succeeded", 2)
    [child] = bench.processes.children(first)
    os.kill(child, signal.SIGCONT)
    eventually(
        lambda: [line for line in bench.log() if line.get("answer") == "lost"],
        10,
        "the paused worker is refused",
    )
    eventually(lambda: len(bench.results(job)) == 1, 60, "only the heir's result is left")
    assert bench.read(job).manifest == record.manifest


def test_a_worker_told_to_go_should_finish_its_job_within_the_grace_time(bench: Bench) -> None:
    """SIGTERM, lease 4 s, grace 60 s, a 6 s job: one start, attempt 1, succeeded."""
    record = drain(bench, seconds=6, grace_seconds=60)
    assert (record.status, record.attempt) == ("succeeded", 1)
    assert bench.starts(record.id) == 1


def test_a_job_longer_than_the_grace_time_should_restart_elsewhere_unharmed(bench: Bench) -> None:
    """The same with a grace time of 1 s: two starts, and still attempt 1."""
    record = drain(bench, seconds=6, grace_seconds=1)
    assert (record.status, record.attempt) == ("succeeded", 1)
    assert bench.starts(record.id) == 2


def drain(bench: Bench, *, seconds: float, grace_seconds: float) -> Record:
    settings = {"HEADGRAFT_LEASE_SECONDS": "4", "HEADGRAFT_GRACE_SECONDS": str(grace_seconds)}
    workers = [bench.processes.start_worker(**settings) for _ in range(2)]
    eventually(lambda: len(bench.ledger.workers()) == 2, 60, "two workers are online")
    job = bench.run("sleeps", seconds=seconds)
    pid = int(bench.running(job).worker.split("-")[-2])  # type: ignore[union-attr]  # it has begun
    [busy] = [worker for worker in workers if pid in bench.processes.children(worker)]
    os.kill(busy.pid, signal.SIGTERM)
    record = bench.ended(job)
    assert busy.wait(60) == 0
    return record


def test_a_child_should_die_with_its_parent(bench: Bench) -> None:
    worker = bench.processes.start_worker()
    bench.ended(bench.run("sleeps", seconds=0.1))
    [child] = bench.processes.children(worker)
    worker.kill()
    eventually(lambda: not psutil.pid_exists(child), 60, "the child died with its parent")

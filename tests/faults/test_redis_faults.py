"""Redis away for a while, in the middle of a job and exactly at its commit."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.documents import statuses
from tests.faults.conftest import Bench
from tests.processes import eventually

# Brings an outage about and returns how it ends.
Outage = Callable[[Bench], Callable[[], None]]


@dataclass
class Poller:
    """Asks for a job's status all the while, and notes what it was answered."""

    bench: Bench
    job: str
    answers: list[int] = field(default_factory=list)
    without_retry_after: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Poller":
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    def _ask(self) -> None:
        address = f"{self.bench.processes.url}/v1/injections/{self.job}"
        while not self.done.wait(0.2):
            reply = httpx.get(address, timeout=60)
            self.answers.append(reply.status_code)
            if reply.status_code == 503 and "retry-after" not in reply.headers:
                self.without_retry_after += 1


def stopped(bench: Bench) -> Callable[[], None]:
    """End the server in order; return how it comes back."""
    bench.server.stop()
    return bench.server.restart


def frozen(bench: Bench) -> Callable[[], None]:
    """Freeze the server: it accepts connections and answers nothing."""
    os.kill(bench.server.pid, signal.SIGSTOP)
    return lambda: os.kill(bench.server.pid, signal.SIGCONT)


OUTAGES = pytest.mark.parametrize(
    ("outage", "seconds"),
    [(stopped, 5), (frozen, 5), pytest.param(stopped, 20, marks=pytest.mark.soak)],
)


@dataclass
class Holder:
    """A running product whose worker waits before its commit for as long as `flag` is away."""

    bench: Bench
    flag: Path

    @property
    def go(self) -> Path:
        return self.flag.with_name(f"{self.flag.name}.go")


@pytest.fixture(scope="module")
def holder(shared_bench: Bench) -> Holder:
    """Start the API and a worker, for all tests of this file."""
    fault, flag = shared_bench.fault("before_commit", "hold")
    flag.touch()
    shared_bench.processes.start_api()
    shared_bench.processes.start_worker(**fault)
    return Holder(shared_bench, flag)


@OUTAGES
def test_an_outage_in_the_middle_of_a_job_should_end_in_one_result(
    holder: Holder, outage: Outage, seconds: float
) -> None:
    bench = holder.bench
    job = bench.run("sleeps", seconds=4)
    bench.running(job)
    with Poller(bench, job) as poller:
        check(bench, job, poller, outage, seconds)


@OUTAGES
def test_an_outage_exactly_at_the_commit_should_end_in_one_result(
    holder: Holder, outage: Outage, seconds: float
) -> None:
    bench = holder.bench
    holder.go.unlink(missing_ok=True)
    holder.flag.unlink()
    job = bench.run("sleeps", seconds=0.5)
    eventually(holder.flag.exists, 60, "the worker stands before its commit")
    with Poller(bench, job) as poller:
        check(bench, job, poller, outage, seconds, holder.go.touch)


def check(
    bench: Bench,
    job: str,
    poller: Poller,
    outage: Outage,
    seconds: float,
    go: Callable[[], None] = lambda: None,
) -> None:
    """Let Redis be away; then the job ends once, and every poll was answered 200 or 503."""
    come_back = outage(bench)
    go()
    time.sleep(seconds)
    eventually(lambda: 503 in poller.answers, 60, "a poll was answered meanwhile")
    come_back()
    record = bench.ended(job)
    assert record.status == "succeeded"
    assert len(bench.results(job)) == 1
    assert statuses(bench.ledger.events(job)).count("succeeded") == 1
    eventually(lambda: poller.answers[-1:] == [200], 60, "the API has its ledger back")
    assert set(poller.answers) <= {200, 503}
    assert poller.without_retry_after == 0
    after = bench.ended(bench.run("sleeps", seconds=0.1))
    assert after.status == "succeeded"
    assert after.worker == record.worker

"""The thread that renews a lease: an error in it must not leave a run without its lease."""

import threading
from collections.abc import Iterator

import pytest

from headgraft.workers import background
from headgraft.workers.background import Loop
from headgraft.workers.jobs.events import StepProgress
from headgraft.workers.ledger.ledger import Answer
from headgraft.workers.process.lease import LeaseRenewer
from tests.ledger import Ledger
from tests.processes import eventually
from tests.workers.ledger.test_ledger import begin, create


class Broken(Ledger):
    """A ledger that fails at the first calls, or at all, by an error that nobody expects."""

    calls = 0
    failures = 1.0

    def progress(self, job: str, token: str, step: StepProgress | None) -> Answer:
        self.calls += 1
        if self.calls <= self.failures:
            raise KeyError("no such thing")
        return super().progress(job, token, step)


@pytest.fixture
def broken(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broken]:
    """Return a broken ledger with a job that has begun."""
    monkeypatch.setattr(background, "PAUSES_SECONDS", (0.01,))
    create(ledger)
    begin(ledger, "w1", "t1")
    broken = Broken(ledger.url)
    yield broken
    broken.client.close()


def renewer(ledger: Ledger, lease_seconds: float, loop: Loop) -> LeaseRenewer:
    return LeaseRenewer(
        ledger,
        "inj_1",
        consumer="w1",
        token="t1",
        lease_seconds=lease_seconds,
        stop=threading.Event(),
        loop=loop,
    )


def test_an_unexpected_error_should_not_end_the_renewals(broken: Broken) -> None:
    loop = Loop("lease")
    watched = renewer(broken, 60, loop)
    watched.start()
    eventually(lambda: broken.calls >= 3, 60, "it asks again")
    assert (loop.deaths, watched.verdict) == (1, "ok")
    broken.cancel("inj_1")
    eventually(lambda: watched.verdict == "cancelled", 60, "it sees the cancel")
    watched.close()


def test_a_renewer_that_cannot_ask_should_give_the_job_up_after_its_lease(broken: Broken) -> None:
    broken.failures = float("inf")
    loop = Loop("lease")
    watched = renewer(broken, 0.4, loop)
    watched.start()
    eventually(lambda: watched.verdict == "lost", 60, "it gives the job up")
    assert loop.deaths >= 1
    watched.close()

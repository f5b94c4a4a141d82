"""Place in the queue and seconds left: told where there is ground for it, null where not."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from headgraft.service.injections.queue_view import (
    FRESH_SECONDS,
    QueueSnapshot,
    QueueView,
    usual_seconds,
)
from headgraft.workers.jobs.events import StepProgress
from headgraft.workers.jobs.presence import Presence
from headgraft.workers.jobs.spec import Record
from headgraft.workers.ledger.connections import connect_async
from headgraft.workers.ledger.service_ledger import ServiceLedger
from tests.documents import manifest, summary
from tests.ledger import Ledger
from tests.processes import eventually
from tests.service.injections.test_routes import TOKEN, begin, created

SUMMARY = {"method": "ridge"}


@dataclass
class View:
    """A view that runs in an event loop of its own, by a clock that a test turns."""

    scripts: ServiceLedger
    portal: BlockingPortal
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.view = self.portal.call(QueueView, self.scripts, lambda: self.seconds)

    def snapshot(self, record: Record | None = None) -> QueueSnapshot:
        return self.portal.call(self.view.snapshot, record)

    def recent(self, record: Record | None = None) -> QueueSnapshot | None:
        return self.portal.call(self.view.recent, record)


@pytest.fixture
def view(ledger: Ledger) -> Iterator[View]:
    """Return a view of an empty ledger that knows its queue."""
    ledger.open_queue()
    with start_blocking_portal() as portal:
        client = connect_async(ledger.url)
        view = View(ServiceLedger(client), portal)
        yield view
        portal.call(view.view.stop)
        portal.call(client.aclose)


def create(ledger: Ledger, *jobs: str, method: str = "ridge") -> None:
    for job in jobs:
        about = summary(method=method)
        ledger.create(job, "ada", spec="spec", summary=about, timeout_seconds=60)


def read(ledger: Ledger, job: str) -> Record:
    record = ledger.get(job)
    assert record is not None
    return record


def remember(ledger: Ledger, *seconds: float, method: str = "ridge") -> None:
    """Let jobs of a method have taken these times."""
    took = [int(one * 1000) for one in seconds]
    ledger.client.rpush(ledger.key("seconds", method), *took)


def online(ledger: Ledger, count: int) -> None:
    for number in range(count):
        ledger.announce(Presence(name=f"w{number}", device="cpu"))


def test_a_place_should_count_the_jobs_ahead(ledger: Ledger, view: View) -> None:
    create(ledger, "inj_1", "inj_2", "inj_3")
    places = [
        view.snapshot(read(ledger, f"inj_{n}")).place(read(ledger, f"inj_{n}")) for n in (1, 2, 3)
    ]
    assert places == [1, 2, 3]
    begin(ledger, "inj_1")
    view.seconds += 2 * FRESH_SECONDS
    look = view.snapshot()
    assert look.place(read(ledger, "inj_1")) is None
    assert look.place(read(ledger, "inj_2")) == 1


def test_a_job_newer_than_the_last_look_should_be_looked_for(ledger: Ledger, view: View) -> None:
    create(ledger, "inj_1")
    first = view.snapshot(read(ledger, "inj_1"))
    create(ledger, "inj_2")
    assert view.snapshot(read(ledger, "inj_1")) is first
    assert view.snapshot(read(ledger, "inj_2")).place(read(ledger, "inj_2")) == 2


def test_a_recent_look_should_serve_only_what_it_has_seen(ledger: Ledger, view: View) -> None:
    create(ledger, "inj_1")
    assert view.recent(read(ledger, "inj_1")) is None
    look = view.snapshot(read(ledger, "inj_1"))
    assert view.recent(read(ledger, "inj_1")) is look
    create(ledger, "inj_2")
    assert view.recent(read(ledger, "inj_2")) is None
    view.seconds += 2 * FRESH_SECONDS
    assert view.recent(read(ledger, "inj_1")) is None


def test_many_askers_of_a_moment_should_cost_one_look(ledger: Ledger, view: View) -> None:
    create(ledger, "inj_1")
    record = read(ledger, "inj_1")
    assert len({id(view.snapshot(record)) for _ in range(50)}) == 1


def test_nothing_should_be_estimated_without_ground(ledger: Ledger, view: View) -> None:
    create(ledger, "inj_1")
    online(ledger, 1)
    record = read(ledger, "inj_1")
    assert view.snapshot(record).seconds_left(record) is None


@pytest.mark.parametrize(
    ("took", "expected"),
    [([], None), ([2, 2], None), ([2, 3, 4], 3), ([2, 2, 2, 60, 60, 60], None), ([5] * 20, 5)],
)
def test_what_jobs_took_should_count_where_they_agree(
    took: list[float], expected: float | None
) -> None:
    assert usual_seconds([str(int(one * 1000)) for one in took]) == expected


def test_a_wait_should_be_the_work_ahead_shared_by_the_workers(ledger: Ledger, view: View) -> None:
    remember(ledger, 4, 4, 4)
    create(ledger, *(f"inj_{number}" for number in range(5)))
    online(ledger, 2)
    look = view.snapshot(read(ledger, "inj_4"))
    left = [look.seconds_left(read(ledger, f"inj_{number}")) for number in range(5)]
    assert left == [4, 6, 8, 10, 12]


def test_an_unknown_job_ahead_should_leave_those_behind_it_unknown(
    ledger: Ledger, view: View
) -> None:
    remember(ledger, 4, 4, 4)
    create(ledger, "inj_1")
    create(ledger, "inj_2", method="icis")
    create(ledger, "inj_3")
    online(ledger, 1)
    look = view.snapshot(read(ledger, "inj_3"))
    assert look.seconds_left(read(ledger, "inj_1")) == 4
    assert look.seconds_left(read(ledger, "inj_3")) is None


def test_without_workers_nobody_should_promise_an_end(ledger: Ledger, view: View) -> None:
    remember(ledger, 4, 4, 4)
    create(ledger, "inj_1")
    record = read(ledger, "inj_1")
    assert view.snapshot(record).seconds_left(record) is None


def test_a_running_job_should_be_told_by_its_pace(ledger: Ledger, view: View) -> None:
    create(ledger, "inj_1")
    begin(ledger, "inj_1")
    ledger.client.hincrby(ledger.key("job", "inj_1"), "started_at", -30_000)
    assert ledger.progress("inj_1", TOKEN, StepProgress(0.25, "train", None)) == "ok"
    record = read(ledger, "inj_1")
    assert view.snapshot(record).seconds_left(record) == pytest.approx(90, abs=3)


def test_an_ended_job_should_teach_the_next_estimate(api: httpx.Client, ledger: Ledger) -> None:
    for _ in range(3):
        job = created(api)
        begin(ledger, job)
        ledger.client.hincrby(ledger.key("job", job), "started_at", -20_000)
        assert ledger.succeed(job, TOKEN, manifest()) == "ok"
    online(ledger, 1)
    shown: dict[str, Any] = api.get(f"/v1/injections/{created(api)}").json()
    assert shown["seconds_left"] == pytest.approx(20, abs=2)
    assert ledger.client.pttl(ledger.key("seconds", "ridge")) > 0


def test_who_asks_often_should_never_wait_for_a_look(ledger: Ledger, view: View) -> None:
    first = view.snapshot()
    create(ledger, "inj_1")
    view.seconds += 0.6 * FRESH_SECONDS

    assert view.recent() is first
    eventually(lambda: view.recent() is not first, 60, "the next look is taken meanwhile")
    second = view.recent()
    view.seconds += 0.6 * FRESH_SECONDS

    assert second is not None
    assert len(second.places) == 1
    assert view.recent() is second

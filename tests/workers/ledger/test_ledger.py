"""The ledger's transitions on a real server: who may do what to a job, and what is left."""

import asyncio
import time
from contextlib import aclosing

import pytest

from headgraft.workers.jobs.events import StepProgress
from headgraft.workers.jobs.presence import EncoderPresence, Presence
from headgraft.workers.jobs.spec import JobError, Record
from headgraft.workers.jobs.summary import Summary
from headgraft.workers.ledger.ledger import ATTEMPTS_MAX, ClaimedJob
from headgraft.workers.ledger.scripts import GROUP, LedgerError
from headgraft.workers.ledger.service_ledger import ServiceLedger
from tests import keyspace
from tests.documents import manifest, statuses, summary
from tests.ledger import Ledger

MINILM = EncoderPresence(dimension=384, digest="d1", kind="sentence-transformers")
ERROR = JobError(code="internal_error", message="internal error in job inj_1")


def create(
    ledger: Ledger, job: str = "inj_1", owner: str = "ada", about: Summary | None = None
) -> None:
    ledger.open_queue()
    spec = f"{owner}/{job}/request.json"
    ledger.create(job, owner, spec=spec, summary=about or summary(), timeout_seconds=60)


def claim(ledger: Ledger, consumer: str = "w1", lease_seconds: float = 60) -> ClaimedJob:
    found = ledger.claim(consumer, lease_seconds=lease_seconds, block_seconds=0.05)
    assert found is not None
    return found


def begin(ledger: Ledger, consumer: str = "w1", token: str = "t1") -> ClaimedJob:
    found = claim(ledger, consumer)
    assert ledger.begin(found, consumer, token) == "begun"
    return found


def take_over(ledger: Ledger, consumer: str, token: str) -> str:
    """Claim a message whose lease is over (10 ms) and begin it."""
    time.sleep(0.02)
    return ledger.begin(claim(ledger, consumer, lease_seconds=0.01), consumer, token)


def read(ledger: Ledger, job: str = "inj_1") -> Record:
    record = ledger.get(job)
    assert record is not None
    return record


def test_a_created_job_should_be_queued_with_its_message(ledger: Ledger) -> None:
    create(ledger)
    record = read(ledger)
    assert (record.status, record.attempt, record.owner) == ("queued", 0, "ada")
    assert ledger.client.ttl(ledger.key("job", "inj_1")) == -1
    assert ledger.client.hget(ledger.key("job", "inj_1"), "schema") == "1"


def test_creating_the_same_id_again_should_change_nothing(ledger: Ledger) -> None:
    create(ledger)
    create(ledger)
    assert ledger.client.xlen(ledger.key("queue")) == 1
    assert statuses(ledger.events("inj_1")) == ["queued"]


def test_jobs_should_be_delivered_in_order_each_to_one_worker(ledger: Ledger) -> None:
    for number in range(3):
        create(ledger, f"inj_{number}")
    assert [claim(ledger, f"w{n}").job for n in range(3)] == ["inj_0", "inj_1", "inj_2"]
    assert ledger.claim("w9", lease_seconds=60, block_seconds=0.01) is None


def test_beginning_should_count_the_attempt_once_however_often_it_is_repeated(
    ledger: Ledger,
) -> None:
    create(ledger)
    found = begin(ledger)
    assert ledger.begin(found, "w1", "t1") == "begun"
    assert (read(ledger).status, read(ledger).attempt, read(ledger).token) == ("running", 1, "t1")


def test_a_message_that_another_worker_has_should_not_begin(ledger: Ledger) -> None:
    create(ledger)
    found = claim(ledger, "w1")
    assert ledger.begin(found, "w2", "t2") == "lost"
    assert read(ledger).attempt == 0


def test_finishing_should_publish_end_the_message_and_start_the_expiry(ledger: Ledger) -> None:
    create(ledger)
    begin(ledger)
    assert ledger.succeed("inj_1", "t1", manifest("p/")) == "ok"
    record = read(ledger)
    assert (record.status, record.progress, record.manifest) == ("succeeded", 1.0, manifest("p/"))
    assert ledger.client.xlen(ledger.key("queue")) == 0
    assert ledger.client.xpending(ledger.key("queue"), GROUP)["pending"] == 0
    for key in ("job", "events"):
        assert ledger.client.ttl(ledger.key(key, "inj_1")) > 0


def test_finishing_twice_with_one_token_should_answer_twice_the_same(ledger: Ledger) -> None:
    create(ledger)
    begin(ledger)
    assert [ledger.succeed("inj_1", "t1", manifest(path)) for path in ("p1/", "p2/")] == [
        "ok",
        "ok",
    ]
    assert read(ledger).manifest == manifest("p1/")
    assert statuses(ledger.events("inj_1")) == ["queued", "running", "succeeded"]


def test_a_replaced_worker_should_be_refused_and_the_rightful_one_heard(ledger: Ledger) -> None:
    create(ledger)
    begin(ledger, "w1", "t1")
    assert take_over(ledger, "w2", "t2") == "begun"
    assert ledger.renew("inj_1", "w1", "t1") == "lost"
    assert ledger.progress("inj_1", "t1", StepProgress(0.5, "fit", None)) == "lost"
    assert ledger.release("inj_1", "t1") == "lost"
    assert ledger.succeed("inj_1", "t1", manifest("w1/")) == "lost"
    assert ledger.fail("inj_1", "t1", ERROR) == "lost"
    assert ledger.succeed("inj_1", "t2", manifest("w2/")) == "ok"
    assert read(ledger).manifest == manifest("w2/")
    assert read(ledger).attempt == 2


def test_a_job_should_survive_the_death_of_the_replacement_too(ledger: Ledger) -> None:
    create(ledger)
    begin(ledger, "w1", "t1")
    assert take_over(ledger, "w2", "t2") == "begun"
    assert ledger.succeed("inj_1", "t1", manifest()) == "lost"
    assert take_over(ledger, "w3", "t3") == "begun"
    assert ledger.succeed("inj_1", "t3", manifest()) == "ok"


def test_renewing_should_keep_the_message_from_being_taken_over(ledger: Ledger) -> None:
    create(ledger)
    message = begin(ledger, "w1", "t1").message
    # Held in silence for a minute, twice the lease that the other asks for.
    ledger.client.xclaim(ledger.key("queue"), GROUP, "w1", 0, [message], idle=60_000)
    assert ledger.renew("inj_1", "w1", "t1") == "ok"
    assert ledger.claim("w2", lease_seconds=30, block_seconds=0.01) is None
    ledger.client.xclaim(ledger.key("queue"), GROUP, "w1", 0, [message], idle=60_000)
    assert ledger.claim("w2", lease_seconds=30, block_seconds=0.01) is not None


def test_a_worker_lost_in_every_attempt_should_fail_the_job(ledger: Ledger) -> None:
    create(ledger)
    begin(ledger, "w1", "t1")
    for number in range(2, ATTEMPTS_MAX + 1):
        assert take_over(ledger, f"w{number}", f"t{number}") == "begun"
    assert take_over(ledger, "w9", "t9") == "exhausted"
    record = read(ledger)
    assert record.status == "failed"
    assert record.attempt == ATTEMPTS_MAX
    assert record.error is not None
    assert record.error.code == "worker_lost"
    assert ledger.client.xlen(ledger.key("queue")) == 0


def test_a_released_job_should_go_back_with_its_attempt(ledger: Ledger) -> None:
    create(ledger)
    begin(ledger, "w1", "t1")
    assert ledger.release("inj_1", "t1") == "ok"
    assert ledger.release("inj_1", "t1") == "ok"
    assert (read(ledger).status, read(ledger).attempt) == ("queued", 0)
    assert ledger.succeed("inj_1", "t1", manifest()) == "lost"
    begin(ledger, "w2", "t2")
    assert read(ledger).attempt == 1
    assert statuses(ledger.events("inj_1")) == ["queued", "running", "queued", "running"]


def test_a_release_that_counts_should_use_the_attempt_up(ledger: Ledger) -> None:
    create(ledger)
    begin(ledger)
    ledger.release("inj_1", "t1", counts=True)
    assert read(ledger).attempt == 1


@pytest.mark.parametrize("running", [False, True])
def test_cancelling_should_end_the_job_at_once(ledger: Ledger, running: bool) -> None:
    create(ledger)
    if running:
        begin(ledger)
    assert ledger.cancel("inj_1") == "ok"
    assert read(ledger).status == "cancelled"
    assert ledger.renew("inj_1", "w1", "t1") == "cancelled"
    assert ledger.progress("inj_1", "t1", None) == "cancelled"
    assert ledger.succeed("inj_1", "t1", manifest()) == "cancelled"
    assert ledger.cancel("inj_1") == "cancelled"
    assert ledger.client.xlen(ledger.key("queue")) == 0


def test_the_first_of_finish_and_cancel_should_win(ledger: Ledger) -> None:
    create(ledger)
    begin(ledger)
    ledger.succeed("inj_1", "t1", manifest())
    assert ledger.cancel("inj_1") == "succeeded"
    assert read(ledger).status == "succeeded"


def test_a_job_cancelled_between_claim_and_begin_should_not_begin(ledger: Ledger) -> None:
    create(ledger)
    found = claim(ledger)
    ledger.cancel("inj_1")
    assert ledger.begin(found, "w1", "t1") == "lost"
    assert ledger.cancel("inj_none") == "missing"


def test_progress_should_reach_record_and_events(ledger: Ledger) -> None:
    create(ledger)
    begin(ledger)
    assert ledger.progress("inj_1", "t1", StepProgress(0.25, "fit", 0.5)) == "ok"
    assert ledger.progress("inj_1", "t1", None) == "ok"
    record = read(ledger)
    assert (record.progress, record.stage, record.loss) == StepProgress(0.25, "fit", 0.5)
    seen = ledger.events("inj_1")
    assert [event.data.type for event in seen] == ["status", "status", "progress"]
    assert [event.id for event in ledger.events("inj_1", after=seen[0].id)] == [
        event.id for event in seen[1:]
    ]


def test_an_owners_jobs_should_be_paged_newest_first(ledger: Ledger) -> None:
    for number in range(5):
        create(ledger, f"inj_{number}")
        time.sleep(0.002)
    create(ledger, "inj_other", owner="bob")
    page = ledger.jobs("ada", limit=2)
    assert [record.id for record in page] == ["inj_4", "inj_3"]
    assert [r.id for r in ledger.jobs("ada", after="inj_3", limit=9)] == ["inj_2", "inj_1", "inj_0"]


def test_an_expired_record_should_be_missing_from_the_list(ledger: Ledger) -> None:
    create(ledger)
    ledger.client.delete(ledger.key("job", "inj_1"))
    assert ledger.jobs("ada") == []
    assert ledger.get("inj_1") is None


def test_a_lost_queue_should_be_made_again_by_the_next_claim(ledger: Ledger) -> None:
    assert ledger.claim("w1", lease_seconds=1, block_seconds=0.01) is None
    create(ledger)
    assert claim(ledger).job == "inj_1"


def test_workers_should_be_online_while_they_announce(ledger: Ledger) -> None:
    presence = Presence(name="w1", device="cpu", encoders={"minilm": MINILM})
    ledger.announce(presence)
    assert ledger.workers() == [presence]
    assert ledger.client.pttl(ledger.key("worker", "w1")) > 0
    ledger.withdraw("w1")
    assert ledger.workers() == []


def test_a_wake_should_name_the_job_that_has_news(ledger: Ledger) -> None:
    async def listen(service: ServiceLedger) -> str | None:
        async with aclosing(service.wakes()) as wakes:
            await anext(wakes)  # None: nothing has happened since the subscription
            await asyncio.to_thread(create, ledger)
            return await anext(wakes)

    assert ledger.serve(listen) == "inj_1"


def test_a_server_that_is_away_should_be_one_clear_error() -> None:
    away = Ledger("redis://127.0.0.1:1", retries=0)
    for call in (
        lambda: away.serve(ServiceLedger.ping),
        lambda: away.get("x"),
        lambda: away.cancel("x"),
    ):
        with pytest.raises(LedgerError, match="does not answer"):
            call()


def test_only_the_documented_keys_should_last(ledger: Ledger) -> None:
    """Everything a job leaves expires; what lasts stands in the ledger's docstring."""
    create(ledger)
    begin(ledger)
    ledger.succeed("inj_1", "t1", manifest())
    create(ledger, "inj_2")
    ledger.cancel("inj_2")
    create(ledger, "inj_3")
    ledger.announce(Presence(name="w1", device="cpu"))
    assert keyspace.leaks(ledger) == []
    lasting = {key for key in ledger.client.scan_iter("*") if ledger.client.ttl(key) == -1}
    assert lasting == {
        *(ledger.key(name) for name in ("queue", "workers", "jobs:ada", "live:ada")),
        *(ledger.key(kind, "inj_3") for kind in ("job", "events")),
    }


@pytest.mark.parametrize("name", ["stray", "job", "jobs", "queue:x"])
def test_a_key_that_the_list_does_not_know_should_be_a_leak(ledger: Ledger, name: str) -> None:
    ledger.client.set(ledger.key(name), "1")
    assert keyspace.leaks(ledger) == [f"{ledger.key(name)} is not documented"]


def test_an_ended_jobs_key_that_lasts_should_be_a_leak(ledger: Ledger) -> None:
    create(ledger)
    ledger.cancel("inj_1")
    ledger.client.persist(ledger.key("events", "inj_1"))
    ledger.client.set(ledger.key("janitor"), "1")
    assert keyspace.leaks(ledger) == [
        f"{ledger.key('events', 'inj_1')} lasts",
        f"{ledger.key('janitor')} lasts",
    ]


def test_a_record_should_say_when_it_expires(ledger: Ledger) -> None:
    create(ledger)
    assert read(ledger).expires_at is None
    ledger.cancel("inj_1")
    record = read(ledger)
    assert record.expires_at == (record.finished_at or 0) + ledger.retention_ms
    expires_at = ledger.client.pexpiretime(ledger.key("job", "inj_1"))
    assert abs(expires_at - record.expires_at) < 1000

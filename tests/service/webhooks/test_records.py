"""Deliveries in Redis: made with the transition that they tell of, and settled by their holder."""

import time

import pytest

from headgraft.service.webhooks import records
from headgraft.service.webhooks.records import Claimed, EventType, Webhook
from headgraft.workers.jobs.spec import JobError
from tests import keyspace
from tests.documents import manifest
from tests.ledger import Ledger
from tests.service.own_redis import redis_url
from tests.workers.ledger.test_ledger import begin, create

__all__ = ["redis_url"]

EVERY: list[EventType] = [
    "injection.running",
    "injection.succeeded",
    "injection.failed",
    "injection.cancelled",
]
URL = "https://93.184.215.14/"


def made(ledger: Ledger, owner: str = "ada", events: list[EventType] = EVERY) -> Webhook:
    webhook = ledger.serve(records.create, owner, URL, events)
    assert isinstance(webhook, Webhook)
    return webhook


def told(ledger: Ledger, webhook: Webhook) -> list[str]:
    """Return the types of a webhook's deliveries, oldest first."""
    found = ledger.serve(records.deliveries, webhook.id, None, 100)
    return [one.type.removeprefix("injection.") for one in found[::-1]]


def claimed(ledger: Ledger, lease_seconds: float = 60) -> Claimed:
    found = ledger.serve(records.claim, lease_seconds)
    assert found is not None
    return found


def test_each_transition_should_be_told_once_however_often_it_is_repeated(ledger: Ledger) -> None:
    webhook = made(ledger)
    create(ledger)
    claim = begin(ledger)
    assert ledger.begin(claim, "w1", "t1") == "begun"
    for _ in range(2):
        assert ledger.succeed("inj_1", "t1", manifest()) == "ok"
    assert ledger.cancel("inj_1") == "succeeded"
    assert ledger.fail("inj_1", "t2", JobError(code="timeout", message="x")) == "lost"
    assert told(ledger, webhook) == ["running", "succeeded"]
    assert keyspace.leaks(ledger) == []


def test_a_released_run_should_be_told_again(ledger: Ledger) -> None:
    webhook = made(ledger)
    create(ledger)
    begin(ledger)
    ledger.release("inj_1", "t1")
    begin(ledger, token="t2")
    ledger.cancel("inj_1")
    assert told(ledger, webhook) == ["running", "running", "cancelled"]


def test_only_the_owners_webhooks_should_be_told_what_they_ask_for(ledger: Ledger) -> None:
    hears, ends, other = (
        made(ledger),
        made(ledger, events=["injection.failed"]),
        made(ledger, "bob"),
    )
    create(ledger)
    begin(ledger)
    ledger.fail("inj_1", "t1", JobError(code="timeout", message="it broke"))
    assert [told(ledger, one) for one in (hears, ends, other)] == [
        ["running", "failed"],
        ["failed"],
        [],
    ]


def test_whoever_lost_a_delivery_should_not_settle_it(ledger: Ledger) -> None:
    made(ledger, events=["injection.cancelled"])
    create(ledger)
    ledger.cancel("inj_1")
    slow = claimed(ledger, lease_seconds=0)
    quick = claimed(ledger)
    assert slow.delivery.id == quick.delivery.id
    assert (slow.delivery.attempts, quick.delivery.attempts) == (1, 2)
    assert not ledger.serve(records.settle, slow, answer=200, error=None, pause_seconds=None)
    assert ledger.serve(records.claim, 60) is None
    assert ledger.serve(records.settle, quick, answer=500, error="bad", pause_seconds=0)
    again = claimed(ledger)
    assert (again.delivery.attempts, again.delivery.answer, again.delivery.error) == (3, 500, "bad")
    assert ledger.serve(records.settle, again, answer=200, error=None, pause_seconds=None)
    assert ledger.serve(records.claim, 60) is None


def test_a_delivery_should_wait_for_its_time(ledger: Ledger) -> None:
    made(ledger, events=["injection.cancelled"])
    create(ledger)
    ledger.cancel("inj_1")
    taken = claimed(ledger)
    assert ledger.serve(records.settle, taken, answer=None, error="no answer", pause_seconds=60)
    assert ledger.serve(records.claim, 60) is None
    assert keyspace.leaks(ledger) == []


@pytest.mark.parametrize("gone", ["webhook", "delivery"])
def test_what_is_gone_should_be_passed_over(ledger: Ledger, gone: str) -> None:
    first = made(ledger, events=["injection.cancelled"])
    second = made(ledger, "bob", events=["injection.cancelled"])
    for job, owner in (("inj_1", "ada"), ("inj_2", "bob")):
        create(ledger, job, owner)
        ledger.cancel(job)
        time.sleep(0.002)
    name = ledger.serve(records.deliveries, first.id, None, 1)[0].id
    ledger.client.delete(ledger.key(gone, first.id if gone == "webhook" else name))
    assert claimed(ledger).webhook.id == second.id
    assert not ledger.client.exists(ledger.key("delivery", name))
    assert ledger.client.zcard(ledger.key("due")) == 1


def test_the_last_secrets_should_sign_as_long_as_they_were_promised_to(ledger: Ledger) -> None:
    webhook = made(ledger)
    assert ledger.serve(records.rotate, webhook.id, 3600) == "rotated"
    rotated = ledger.serve(records.find, webhook.id)
    assert ledger.serve(records.rotate, webhook.id, 60) == "rotated"
    shortened = ledger.serve(records.find, webhook.id)
    assert rotated is not None
    assert shortened is not None
    now_ms = shortened.secrets[1].until - 60_000
    old = [shortened.secrets[0].secret, rotated.secrets[0].secret, webhook.secrets[0].secret]
    assert shortened.signing(now_ms) == old
    assert shortened.signing(now_ms + 61_000) == old[:1]
    assert ledger.serve(records.rotate, "wh_none", 60) == "missing"

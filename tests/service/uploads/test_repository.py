"""Uploads in the ledger's Redis: kept for their owner, listed, forgotten."""

import time

import pytest

from headgraft.service.uploads import repository
from headgraft.service.web.problems import ProblemError
from headgraft.workers.jobs.spec import FeaturesRecord, HeadRecord
from headgraft.workers.ledger.scripts import LedgerError
from headgraft.workers.ledger.service_ledger import ServiceLedger
from tests.documents import features_record, head_record, summary
from tests.ledger import Ledger
from tests.workers.ledger.test_ledger import create


def test_an_upload_should_be_kept_for_its_owner(ledger: Ledger) -> None:
    ledger.serve(repository.create, head_record("head_1"))

    assert ledger.serve(repository.find, HeadRecord, "head_1", "ada") == head_record("head_1")
    assert ledger.serve(repository.find, HeadRecord, "head_1", "grace") is None
    assert ledger.serve(repository.find, HeadRecord, "head_2", "ada") is None
    assert ledger.serve(repository.find, FeaturesRecord, "head_1", "ada") is None


def test_a_page_should_hold_an_owners_uploads_newest_first(ledger: Ledger) -> None:
    for number in range(5):
        ledger.serve(repository.create, head_record(f"head_{number}", at=number))
    ledger.serve(repository.create, head_record("head_x", "grace"))

    def page(after: str | None, limit: int = 2) -> list[str]:
        found = ledger.serve(repository.page, HeadRecord, "ada", after=after, limit=limit)
        return [one.id for one in found]

    assert page(None) == ["head_4", "head_3"]
    assert page("head_3") == ["head_2", "head_1"]
    assert page("head_1") == ["head_0"]


def test_only_the_documented_keys_should_last(ledger: Ledger) -> None:
    ledger.serve(repository.create, head_record("head_1"))
    ledger.serve(repository.create, features_record())

    names = {name.removeprefix(ledger.prefix) for name in ledger.client.scan_iter("*")}
    assert names == {"head:head_1", "heads:ada", "feature:feat_1", "features:ada", "stored:ada"}

    ledger.serve(repository.delete, HeadRecord, "head_1", "ada")
    ledger.serve(repository.delete, FeaturesRecord, "feat_1", "ada")
    assert list(ledger.client.scan_iter("*")) == []


def test_what_a_live_job_needs_should_not_be_forgotten(ledger: Ledger) -> None:
    ledger.serve(repository.create, head_record("head_1"))
    create(ledger, "inj_1")
    create(ledger, "inj_2", about=summary(head={"id": "head_1"}))

    with pytest.raises(ProblemError, match="inj_2") as caught:
        ledger.serve(repository.delete, HeadRecord, "head_1", "ada")
    assert caught.value.status == 409

    ledger.cancel("inj_2")
    ledger.serve(repository.delete, HeadRecord, "head_1", "ada")
    assert ledger.serve(repository.find, HeadRecord, "head_1", "ada") is None


def test_a_look_for_live_jobs_should_not_read_the_queue(ledger: Ledger) -> None:
    """With 20,000 jobs queued, and each of them in need of another head."""
    jobs = [f"inj_{number}" for number in range(20_000)]
    with ledger.client.pipeline(transaction=False) as pipe:
        for job in jobs:
            pipe.xadd(ledger.key("queue"), {"job": job})
        pipe.sadd(ledger.key("used", "head_2"), *jobs)
        pipe.execute()
    for name in ("head_1", "head_2"):
        ledger.serve(repository.create, head_record(name))

    async def seconds(ledger: ServiceLedger) -> float:
        start = time.perf_counter()
        with pytest.raises(ProblemError, match="needed by") as caught:
            await repository.delete(ledger, HeadRecord, "head_2", "ada")
        assert len(caught.value.extra["injections"]) == 100
        await repository.delete(ledger, HeadRecord, "head_1", "ada")
        return time.perf_counter() - start

    # It took 5.5 s when it read every job; now some 10 ms, and a busy machine may take its time.
    assert ledger.serve(seconds) < 2.0


def test_a_server_that_is_away_should_be_one_clear_error() -> None:
    away = Ledger("redis://127.0.0.1:1", retries=0)

    with pytest.raises(LedgerError, match="does not answer"):
        away.serve(repository.create, head_record("head_1"))
    with pytest.raises(LedgerError, match="does not answer"):
        away.serve(repository.find, HeadRecord, "head_1", "ada")

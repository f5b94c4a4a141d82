"""Deadlines: a job that has not ended by then fails, whoever has it, and leaves no entry."""

import httpx

from headgraft.workers.jobs.spec import Record
from headgraft.workers.ledger.service_ledger import ServiceLedger
from tests import keyspace
from tests.documents import manifest, summary
from tests.ledger import Ledger
from tests.processes import eventually
from tests.service.files import injection, pointers, problem, submit
from tests.service.injections.test_routes import TOKEN, begin


def create(ledger: Ledger, job: str = "inj_1", *, late: bool = True) -> None:
    """Queue a job with a deadline, which has passed if it is `late`."""
    ledger.open_queue()
    ledger.create(
        job, "ada", spec="spec", summary=summary(), timeout_seconds=60, deadline_seconds=100
    )
    if late:
        pass_deadline(ledger, job)


def pass_deadline(ledger: Ledger, job: str) -> None:
    for_job = ledger.client.hincrby(ledger.key("job", job), "deadline_at", -101_000)
    ledger.client.zadd(ledger.key("deadlines"), {job: for_job})


def read(ledger: Ledger, job: str = "inj_1") -> Record:
    record = ledger.get(job)
    assert record is not None
    return record


def code(ledger: Ledger) -> str | None:
    error = read(ledger).error
    return error.code if error else None


def waiting(ledger: Ledger) -> list[str]:
    return list(map(str, ledger.client.zrange(ledger.key("deadlines"), 0, -1)))


def test_a_queued_job_should_fail_at_its_deadline(ledger: Ledger) -> None:
    create(ledger)
    create(ledger, "inj_2", late=False)
    ledger.serve(ServiceLedger.expire_late)
    assert (read(ledger).status, code(ledger)) == ("failed", "deadline")
    assert read(ledger, "inj_2").status == "queued"
    assert waiting(ledger) == ["inj_2"]
    assert ledger.client.xlen(ledger.key("queue")) == 1
    assert ledger.events("inj_1")[-1].data.model_dump()["code"] == "deadline"
    assert keyspace.leaks(ledger) == []


def test_a_job_should_not_begin_after_its_deadline(ledger: Ledger) -> None:
    create(ledger)
    claim = ledger.claim("w", lease_seconds=15, block_seconds=1)
    assert claim is not None
    assert ledger.begin(claim, "w", TOKEN) == "late"
    assert (read(ledger).attempt, code(ledger)) == (0, "deadline")


def test_a_running_job_should_be_left_to_its_worker_for_a_while(ledger: Ledger) -> None:
    create(ledger, late=False)
    begin(ledger, "inj_1")
    assert read(ledger).seconds_allowed == 60
    pass_deadline(ledger, "inj_1")
    ledger.serve(ServiceLedger.expire_late)
    assert read(ledger).status == "running"
    ledger.serve(ServiceLedger.expire_late, patience_seconds=0)
    assert (read(ledger).status, code(ledger)) == ("failed", "deadline")
    assert ledger.succeed("inj_1", TOKEN, manifest()) == "lost"


def test_a_run_should_get_no_more_time_than_the_deadline_leaves(ledger: Ledger) -> None:
    create(ledger, late=False)
    ledger.client.hincrby(ledger.key("job", "inj_1"), "deadline_at", -90_000)
    begin(ledger, "inj_1")
    assert 8 < read(ledger).seconds_allowed <= 10


def test_the_deadline_of_an_ended_job_should_be_forgotten(ledger: Ledger) -> None:
    create(ledger)
    ledger.cancel("inj_1")
    ledger.serve(ServiceLedger.expire_late)
    assert read(ledger).status == "cancelled"
    assert waiting(ledger) == []


def test_the_service_should_keep_deadlines_without_any_worker(
    api: httpx.Client, ledger: Ledger
) -> None:
    queued = submit(api, injection(deadline_seconds=1)).json()
    assert queued["deadline_at"] > queued["created_at"]

    def failed() -> bool:
        return bool(api.get(f"/v1/injections/{queued['id']}").json()["status"] == "failed")

    eventually(failed, 60, "the job has failed")
    assert code_of(api, queued["id"]) == "deadline"


def code_of(api: httpx.Client, job: str) -> str:
    return str(api.get(f"/v1/injections/{job}").json()["error"]["code"])


def test_a_deadline_of_nothing_should_be_refused(api: httpx.Client) -> None:
    response = submit(api, injection(deadline_seconds=0))
    assert pointers(problem(response, 422, "invalid_request")) == ["/deadline_seconds"]

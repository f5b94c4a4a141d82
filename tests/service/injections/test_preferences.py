"""How long a client would wait: the header as RFC 7240 has it, and what the service makes of it."""

import threading
import time

import httpx
import pytest

from headgraft.service.injections.routes import wait_seconds
from tests.documents import manifest
from tests.ledger import Ledger
from tests.service.files import injection, submit
from tests.service.injections.test_routes import TOKEN


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        (["wait=10"], 10),
        (["respond-async, WAIT = 7"], 7),
        (["handling=lenient", 'wait="5"'], 5),
        (["wait=3, wait=9"], 3),
        (["wait=9999"], 60),
        (["wait=0"], 0),
        (["wait=-1"], None),
        (["wait=soon"], None),
        (["waiting=5"], None),
    ],
)
def test_the_first_wait_should_count_and_what_is_none_be_ignored(
    headers: list[str], expected: int | None
) -> None:
    assert wait_seconds(headers) == expected


def prefer(api: httpx.Client, wanted: str) -> httpx.Response:
    api.headers["Prefer"] = wanted
    try:
        return submit(api, injection())
    finally:
        del api.headers["Prefer"]


def test_a_job_that_ends_in_time_should_be_answered_finished(
    api: httpx.Client, ledger: Ledger
) -> None:
    ledger.open_queue()

    def work() -> None:
        claim = ledger.claim("worker", lease_seconds=15, block_seconds=4)
        assert claim is not None
        ledger.begin(claim, "worker", TOKEN)
        ledger.succeed(claim.job, TOKEN, manifest())

    worker = threading.Thread(target=work)
    worker.start()
    response = prefer(api, "wait=20")
    worker.join()

    assert response.status_code == 200
    assert response.json()["status"] == "succeeded"
    assert response.headers["preference-applied"] == "wait=20"
    assert response.headers["location"] == f"/v1/injections/{response.json()['id']}"
    assert response.elapsed.total_seconds() < 18


def test_a_job_that_lasts_should_be_answered_queued_after_the_wait(api: httpx.Client) -> None:
    start = time.monotonic()
    response = prefer(api, "wait=1")

    assert time.monotonic() - start >= 1
    assert response.status_code == 202
    assert response.json()["status"] == "queued"
    assert response.headers["preference-applied"] == "wait=1"
    assert response.headers["retry-after"] == "1"


def test_an_unreadable_wait_should_not_be_applied(api: httpx.Client) -> None:
    response = prefer(api, "wait=forever")

    assert response.status_code == 202
    assert "preference-applied" not in response.headers

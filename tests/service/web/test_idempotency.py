"""Idempotency-Key: one thing for one key, whatever happens to the requests that carry it."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from headgraft.service.web.idempotency import EXTEND_SECONDS, RESERVED_SECONDS, Reserve
from headgraft.workers.ledger.quota import Reservation
from tests import keyspace, sending
from tests.ledger import Ledger
from tests.processes import Processes, eventually
from tests.service.files import checkpoint, class_names, head_tensors, injection, problem, stored
from tests.service.files import parts as parts_of
from tests.service.uploads.feature_files import feature_tensors

KEY = {"Idempotency-Key": "order-66"}
REPLAYED = "idempotent-replayed"


def post(
    client: httpx.Client,
    request: Any = None,
    file: bytes | None = None,
    *,
    to: str = "/v1/injections",
    key: str = KEY["Idempotency-Key"],
) -> httpx.Response:
    """POST a submission under a key; every time with a boundary of its own."""
    sent = parts_of(request or injection(), checkpoint() if file is None else file)
    return client.post(to, files=sent, headers={"Idempotency-Key": key})


def entries(ledger: Ledger) -> list[str]:
    return list(ledger.client.scan_iter(ledger.key("answer", "*")))


def jobs(ledger: Ledger) -> int:
    return len(ledger.jobs("local", limit=1000))


def test_a_repeat_should_get_the_first_answer(api: httpx.Client, ledger: Ledger) -> None:
    first = post(api)
    again = post(api, dict(reversed(injection().items())))

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert (again.headers[REPLAYED], REPLAYED in first.headers) == ("true", False)
    assert jobs(ledger) == ledger.client.xlen(ledger.key("queue")) == 1


def test_a_repeat_should_get_the_first_answer_after_the_job_has_ended_too(
    api: httpx.Client, ledger: Ledger
) -> None:
    first = post(api)
    ledger.cancel(first.json()["id"])

    assert post(api).json() == first.json()
    assert api.get(first.headers["location"]).json()["status"] == "cancelled"


@pytest.mark.parametrize("other", ["request", "file"])
def test_another_request_should_be_refused(
    api: httpx.Client, ledger: Ledger, kept: Any, other: str
) -> None:
    post(api)
    before = stored(kept)
    file = checkpoint({**head_tensors(), "more": ("F32", (1,), b"\0" * 4)})

    if other == "request":
        response = post(api, injection(timeout_seconds=5))
    else:
        response = post(api, file=file)

    problem(response, 422, "idempotency_key_reused")
    assert jobs(ledger) == 1
    assert stored(kept) == before


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "ümlaut"])
def test_a_key_that_is_none_should_be_refused(api: httpx.Client, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode())]
    response = api.post("/v1/injections", files=parts_of(injection(), b"x"), headers=headers)

    problem(response, 422, "invalid_request")


def test_a_refused_request_should_leave_its_key_free(api: httpx.Client, ledger: Ledger) -> None:
    problem(post(api, injection(method="wizard")), 422, "invalid_request")
    assert entries(ledger) == []

    assert post(api).status_code == 202


def test_keys_should_be_an_owners_own_and_a_routes(
    ada: httpx.Client, grace: httpx.Client, ledger: Ledger
) -> None:
    named = {"class_names": class_names()}
    answers = [
        post(ada),
        post(grace),
        post(ada, named, to="/v1/heads"),
        post(grace, named, to="/v1/heads"),
    ]

    assert [one.status_code for one in answers] == [202, 202, 201, 201]
    assert len({one.json()["id"] for one in answers}) == 4
    assert len(entries(ledger)) == 4


def test_uploads_should_be_kept_once_under_a_key(api: httpx.Client, ledger: Ledger) -> None:
    named = {"class_names": class_names()}
    heads = [post(api, named, to="/v1/heads") for _ in range(2)]
    files = [
        ("features", ("f.safetensors", checkpoint(feature_tensors()), "application/octet-stream"))
    ]
    features = [api.post("/v1/features", files=files, headers=KEY) for _ in range(2)]

    for first, again in (heads, features):
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.json() == first.json()
        assert again.headers[REPLAYED] == "true"
    other = post(api, {"class_names": class_names()[::-1]}, to="/v1/heads")
    problem(other, 422, "idempotency_key_reused")
    assert keyspace.leaks(ledger) == []
    api.delete(heads[0].headers["location"])
    problem(post(api, named, to="/v1/heads"), 404, "not_found")


def test_a_cancel_should_be_answered_twice_the_same_under_a_key(api: httpx.Client) -> None:
    jobs = [post(api, key=str(number)).json()["id"] for number in range(2)]
    own, other = (f"/v1/injections/{job}/cancel" for job in jobs)
    answers = [api.post(own, headers=KEY) for _ in range(2)]

    assert [one.status_code for one in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    problem(api.post(own), 409, "conflict")
    problem(api.post(other, headers=KEY), 422, "idempotency_key_reused")


@pytest.fixture
def slow(open_api: Processes, api: httpx.Client) -> Iterator[Any]:
    """Return a connection on which half a submission has been sent under the key."""
    asked = sending.part("request", b'{"add": ["x"], "class_names": ["a", "b"]}')
    with sending.connected(open_api.port) as connection:
        head = sending.post_head(
            f"Content-Type: {sending.CONTENT_TYPE}",
            "Content-Length: 1000000",
            f"Idempotency-Key: {KEY['Idempotency-Key']}",
        )
        connection.sendall(head + asked + sending.part_head("checkpoint"))
        yield connection


def test_a_repeat_while_the_first_is_in_flight_should_be_told_so(
    api: httpx.Client, ledger: Ledger, slow: Any
) -> None:
    eventually(lambda: entries(ledger), 60, "the key is taken")

    document = problem(post(api), 409, "idempotency_key_in_flight")

    assert "try again" in document["detail"]
    slow.close()
    eventually(lambda: not entries(ledger), 60, "the key is free: its client is gone")
    assert post(api).status_code == 202
    assert jobs(ledger) == 1


def test_a_key_should_stay_taken_for_a_minute_after_the_last_byte(
    ledger: Ledger, slow: Any
) -> None:
    eventually(lambda: entries(ledger), 60, "the key is taken")
    [entry] = entries(ledger)
    half_ms = int(RESERVED_SECONDS * 500)
    time.sleep(EXTEND_SECONDS)
    ledger.client.pexpire(entry, half_ms)
    slow.sendall(b"more")

    eventually(lambda: ledger.client.pttl(entry) > half_ms, 60, "the minute starts anew")
    assert ledger.client.pttl(entry) <= RESERVED_SECONDS * 1000


def test_many_at_once_should_make_one_job(api: httpx.Client, ledger: Ledger) -> None:
    codes: list[int] = []
    ids: set[str] = set()

    def send() -> None:
        with httpx.Client(base_url=api.base_url, timeout=30) as client:
            response = post(client)
            codes.append(response.status_code)
            if response.status_code == 202:
                ids.add(response.json()["id"])

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(Counter(codes)) <= {202, 409}
    assert len(ids) == jobs(ledger) == 1


def test_a_key_should_last_as_long_as_its_job(api: httpx.Client, ledger: Ledger) -> None:
    job = post(api).json()["id"]
    [entry] = entries(ledger)
    assert ledger.client.pttl(entry) == -1
    assert keyspace.leaks(ledger) == []
    ledger.cancel(job)
    assert 0 < ledger.client.pttl(entry) <= ledger.retention_ms
    api.delete(f"/v1/injections/{job}")
    assert entries(ledger) == []
    assert post(api).json()["id"] != job


def create(ledger: Ledger, job: str, nonce: str) -> str:
    """Do what an API process does last, under the key's entry."""
    reservation = Reservation(nonce, "print", ledger.key("answer", "1"))
    return ledger.create(job, "ada", reservation=reservation)


def reserve(ledger: Ledger, nonce: str, seconds: float = 60) -> str:
    return ledger.run(Reserve(ledger.key("answer", "1"), nonce, int(seconds * 1000)))


def test_a_request_that_lost_its_key_should_make_nothing(ledger: Ledger) -> None:
    assert reserve(ledger, "first", 0.01) == "ours"
    time.sleep(0.02)
    assert reserve(ledger, "second") == "ours"

    assert create(ledger, "inj_1", "first") == "taken"
    assert ledger.get("inj_1") is None
    assert ledger.client.xlen(ledger.key("queue")) == 0
    assert create(ledger, "inj_2", "second") == "created"
    assert create(ledger, "inj_1", "first") == "taken"
    assert reserve(ledger, "third") == "made"


def test_a_key_nobody_took_meanwhile_should_be_settled_late(ledger: Ledger) -> None:
    reserve(ledger, "first", 0.01)
    time.sleep(0.02)

    assert create(ledger, "inj_1", "first") == "created"
    assert create(ledger, "inj_1", "first") == "exists"
    assert reserve(ledger, "second") == "made"


def test_every_post_should_take_a_key(api: httpx.Client) -> None:
    document = api.get("/openapi.json").json()
    posts = {path: ways["post"] for path, ways in document["paths"].items() if "post" in ways}

    assert len(posts) >= 4
    for path, operation in posts.items():
        named = [one["name"] for one in operation.get("parameters", [])]
        assert "Idempotency-Key" in named, path
        assert "409" in operation["responses"], path

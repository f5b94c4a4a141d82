"""Webhooks over HTTP: what can be asked for, and what is told of what."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from headgraft.workers.jobs.spec import JobError
from tests import keyspace
from tests.ledger import Ledger
from tests.processes import Processes, eventually
from tests.service.conftest import KEYS
from tests.service.files import pointers, problem, submit
from tests.service.injections.test_routes import TOKEN, begin, created
from tests.service.own_redis import redis_url
from tests.service.webhooks.hooks import Listener, listening

__all__ = ["redis_url"]

PATH = "/v1/webhooks"
PUBLIC = "https://93.184.215.14/hook"


@pytest.fixture(scope="module")
def server(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Return a server of two owners that may call this machine."""
    environment = {
        "HEADGRAFT_API_KEYS": ",".join(f"{owner}:{key}" for owner, key in KEYS.items()),
        "HEADGRAFT_WEBHOOK_ALLOW": "127.0.0.0/8",
        "HEADGRAFT_WEBHOOK_BACKOFF_SECONDS": "0.1,0.1",
        "HEADGRAFT_WEBHOOK_TIMEOUT_SECONDS": "2",
    }
    processes = Processes(tmp_path_factory.mktemp("hooks"), redis_url, environment)
    processes.start_api()
    yield processes
    processes.stop()


def client(processes: Processes, owner: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {KEYS[owner]}"}
    return httpx.Client(base_url=processes.url, headers=headers, timeout=30)


@pytest.fixture
def ada(server: Processes, ledger: Ledger) -> Iterator[httpx.Client]:
    with client(server, "ada") as one:
        yield one


@pytest.fixture
def grace(server: Processes, ledger: Ledger) -> Iterator[httpx.Client]:
    with client(server, "grace") as one:
        yield one


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as one:
        yield one


def hook(one: httpx.Client, url: str, **fields: Any) -> dict[str, Any]:
    """Create a webhook and return it, with its secret."""
    reply = one.post(PATH, json={"url": url, **fields})
    assert reply.status_code == 201, reply.text
    assert reply.headers["location"] == f"{PATH}/{reply.json()['id']}"
    return dict(reply.json())


def test_a_webhook_should_show_its_secret_once(ada: httpx.Client) -> None:
    made = hook(ada, PUBLIC, description="ci")
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made["events"] == [f"injection.{end}" for end in ("succeeded", "failed", "cancelled")]
    assert ada.get(f"{PATH}/{made['id']}").json() == made
    assert ada.get(PATH).json() == {"object": "list", "data": [made], "has_more": False}


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"url": "http://93.184.215.14/"}, "/url"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "/url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "/url"),
        ({"url": "https://2852039166/"}, "/url"),
        ({"url": "https://localhost6.invalid/"}, "/url"),
        ({"url": PUBLIC, "events": ["injection.none"]}, "/0"),
        ({"url": PUBLIC, "events": []}, "/events"),
        ({"url": PUBLIC, "secret": "mine"}, "/secret"),
        ({}, "/url"),
    ],
)
def test_a_webhook_that_cannot_be_should_be_refused(
    ada: httpx.Client, ledger: Ledger, fields: dict[str, Any], pointer: str
) -> None:
    document = problem(ada.post(PATH, json=fields), 422, "invalid_request")
    assert pointers(document) == [pointer]
    assert ada.get(PATH).json()["data"] == []


def test_a_repeated_call_should_make_and_rotate_one_webhook(ada: httpx.Client) -> None:
    key = {"Idempotency-Key": "hook-1"}
    problem(ada.post(PATH, json={"url": "nowhere"}, headers=key), 422, "invalid_request")
    first, again = (ada.post(PATH, json={"url": PUBLIC}, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert first.headers["location"] == again.headers["location"]
    assert len(ada.get(PATH).json()["data"]) == 1
    other = ada.post(PATH, json={"url": PUBLIC + "/other"}, headers=key)
    problem(other, 422, "idempotency_key_reused")
    own = f"{PATH}/{first.json()['id']}/rotate"
    rotated = [ada.post(own, headers=key).json()["secret"] for _ in range(2)]
    assert rotated[0] == rotated[1] != first.json()["secret"]
    assert ada.post(own).json()["secret"] != rotated[0]


def test_there_should_be_no_more_than_twenty(ada: httpx.Client) -> None:
    for _ in range(20):
        hook(ada, PUBLIC)
    problem(ada.post(PATH, json={"url": PUBLIC}), 403, "webhooks_exceeded")


def test_what_is_told_should_be_what_was_asked_for(
    ada: httpx.Client, grace: httpx.Client, ledger: Ledger, listener: Listener
) -> None:
    made = hook(ada, listener.url, events=["injection.running", "injection.failed"])
    hook(grace, listener.url)
    failed, cancelled = created(ada, metadata={"run": "7"}), created(ada)
    begin(ledger, failed)
    ledger.fail(failed, TOKEN, JobError(code="out_of_memory", message="it took too much"))
    ada.post(f"/v1/injections/{cancelled}/cancel")

    listener.wait(2)
    heard = [one.verified(made["secret"]) for one in listener.heard]
    heard.sort(key=lambda one: one["type"])

    assert [one["type"] for one in heard] == ["injection.failed", "injection.running"]
    assert heard[0]["data"] == {
        "object": "injection",
        "id": failed,
        "status": "failed",
        "attempt": 1,
        "error": {"code": "out_of_memory", "message": "it took too much"},
        "metadata": {"run": "7"},
    }
    assert heard[0]["timestamp"].endswith("Z")
    assert len({one.id for one in listener.heard}) == 2
    assert len(listener.heard) == 2
    assert listener.heard[0].headers["host"] == f"127.0.0.1:{listener.port}"


def test_a_delivery_should_show_how_it_went(
    ada: httpx.Client, ledger: Ledger, listener: Listener
) -> None:
    listener.answers = [500, 302, 410]
    made = hook(ada, listener.url)
    job = created(ada)
    ada.post(f"/v1/injections/{job}/cancel")
    own = f"{PATH}/{made['id']}/deliveries"
    eventually(lambda: ada.get(own).json()["data"][0]["status"] == "failed", 60, "it is given up")

    shown = ada.get(own).json()["data"][0]

    assert shown["id"] == listener.heard[0].id
    assert (shown["attempts"], shown["answer"], shown["injection"]) == (3, 410, job)
    assert shown["error"] == "answered 410"
    assert shown["next_attempt_at"] is None
    assert keyspace.leaks(ledger) == []
    assert 0 < ledger.client.ttl(ledger.key("delivery", shown["id"])) <= 7 * 86_400


def test_deliveries_should_be_paged(ada: httpx.Client, listener: Listener) -> None:
    made = hook(ada, listener.url)
    for _ in range(3):
        ada.post(f"/v1/injections/{created(ada)}/cancel")
    own = f"{PATH}/{made['id']}/deliveries"
    first = ada.get(own, params={"limit": 2}).json()
    rest = ada.get(own, params={"limit": 2, "after": first["data"][-1]["id"]}).json()
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert len({one["id"] for one in first["data"] + rest["data"]}) == 3
    problem(ada.get(own, params={"after": "msg_none"}), 404, "not_found")


def test_both_secrets_should_sign_until_the_overlap_ends(
    ada: httpx.Client, listener: Listener
) -> None:
    made = hook(ada, listener.url)
    own = f"{PATH}/{made['id']}"

    def sign() -> list[str]:
        before = len(listener.heard)
        ada.post(f"/v1/injections/{created(ada)}/cancel")
        listener.wait(before + 1)
        return listener.heard[-1].headers["webhook-signature"].split(" ")

    assert len(sign()) == 1
    rotated = ada.post(f"{own}/rotate", json={"overlap_seconds": 2}).json()
    assert rotated["secret"] != made["secret"]
    assert len(sign()) == 2
    for secret in (made["secret"], rotated["secret"]):
        assert listener.heard[-1].verified(secret)["type"] == "injection.cancelled"
    eventually(lambda: len(sign()) == 1, 60, "the overlap ends")
    assert listener.heard[-1].verified(rotated["secret"])

    compromised = ada.post(f"{own}/rotate", json={"overlap_seconds": 0}).json()
    assert len(sign()) == 1
    assert listener.heard[-1].verified(compromised["secret"])
    assert "overlap" in str(ada.post(f"{own}/rotate", json={"overlap_seconds": -1}).json())
    assert len(sign()) == 1
    assert ada.post(f"{own}/rotate").json()["secret"] != compromised["secret"]
    assert len(sign()) == 2


def test_a_deleted_webhook_should_leave_nothing_and_hear_nothing(
    ada: httpx.Client, ledger: Ledger, listener: Listener
) -> None:
    listener.answers = [500]
    made = hook(ada, listener.url)
    ada.post(f"/v1/injections/{created(ada)}/cancel")
    listener.wait(1)

    assert ada.delete(f"{PATH}/{made['id']}").status_code == 204

    kinds = ("webhook", "webhooks", "sent", "delivery", "due")
    left = [key for key in ledger.client.scan_iter("*") if key.split(":")[1] in kinds]
    assert left == []
    submitted = submit(ada).json()["id"]
    ada.post(f"/v1/injections/{submitted}/cancel")
    assert not ledger.client.exists(ledger.key("due"))


def test_a_deleted_injection_should_take_its_deliveries_along(
    ada: httpx.Client, ledger: Ledger, listener: Listener
) -> None:
    made = hook(ada, listener.url)
    job = created(ada)
    ada.post(f"/v1/injections/{job}/cancel")
    listener.wait(1)
    own = f"{PATH}/{made['id']}/deliveries"
    eventually(lambda: ada.get(own).json()["data"][0]["status"] != "pending", 60, "it is told")

    assert ada.delete(f"/v1/injections/{job}").status_code == 204

    assert ada.get(own).json()["data"] == []
    assert not list(ledger.client.scan_iter(ledger.key("delivery", "*")))

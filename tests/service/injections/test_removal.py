"""Deleting injections over HTTP: nothing of one is left, and nothing of another goes."""

from pathlib import Path

import httpx
import pytest

from headgraft.workers.process.janitor import Janitor
from headgraft.workers.store import Store
from tests import keyspace
from tests.ledger import Ledger
from tests.processes import eventually
from tests.service.files import problem, stored
from tests.service.injections.test_routes import begin, created, store_of_api, succeed

__all__ = ["store_of_api"]


def traces(ledger: Ledger, job: str) -> list[str]:
    """Return the keys that name a job, or hold its name."""
    found = []
    for key in ledger.client.scan_iter("*"):
        kind = str(ledger.client.type(key))
        held = {
            "hash": lambda key: str(ledger.client.hgetall(key)),
            "zset": lambda key: str(ledger.client.zrange(key, 0, -1)),
            "stream": lambda key: str(ledger.client.xrange(key)),
            "list": lambda key: str(ledger.client.lrange(key, 0, -1)),
            "set": lambda key: str(ledger.client.smembers(key)),
            "string": lambda key: str(ledger.client.get(key)),
        }[kind](key)
        found += [key] if job in key or job in held else []
    return found


def test_a_deleted_injection_should_leave_nothing(
    api: httpx.Client, ledger: Ledger, kept: Path, store_of_api: Store
) -> None:
    job = created(api)
    begin(ledger, job)
    succeed(ledger, store_of_api, job)
    assert len(stored(kept)) == 4
    assert len(traces(ledger, job)) == 5

    response = api.delete(f"/v1/injections/{job}")

    assert (response.status_code, response.content) == (204, b"")
    assert traces(ledger, job) == []
    assert stored(kept) == []
    assert keyspace.leaks(ledger) == []
    for part in ("", "/head", "/events"):
        problem(api.get(f"/v1/injections/{job}{part}"), 404, "not_found")
    problem(api.delete(f"/v1/injections/{job}"), 404, "not_found")


def test_another_injection_should_stay_whole(
    api: httpx.Client, ledger: Ledger, kept: Path, store_of_api: Store
) -> None:
    gone, stays = created(api), created(api)
    begin(ledger, gone)
    content = succeed(ledger, store_of_api, gone)
    begin(ledger, stays)
    assert succeed(ledger, store_of_api, stays) == content

    api.delete(f"/v1/injections/{gone}")

    assert api.get(f"/v1/injections/{stays}/head").content == content
    assert [one["id"] for one in api.get("/v1/injections").json()["data"]] == [stays]


@pytest.mark.parametrize("running", [False, True])
def test_a_live_injection_should_be_cancelled_before_it_is_deleted(
    api: httpx.Client, ledger: Ledger, kept: Path, running: bool
) -> None:
    job = created(api)
    if running:
        begin(ledger, job)
    own = f"/v1/injections/{job}"

    document = problem(api.delete(own), 409, "conflict")

    assert "cancel it first" in document["detail"]
    assert document["injection"]["id"] == job
    assert api.post(f"{own}/cancel").status_code == 200
    assert api.delete(own).status_code == 204
    assert stored(kept) == []
    assert traces(ledger, job) == []


def test_an_expired_injection_should_take_its_files_along(
    api: httpx.Client, ledger: Ledger, kept: Path, store_of_api: Store
) -> None:
    """Whatever the retention: the janitor does not wait until the files are a day old."""
    expired, lives = created(api), created(api)
    begin(ledger, expired)
    succeed(ledger, store_of_api, expired)
    for key in traces(ledger, expired):
        if ledger.client.pttl(key) > 0:
            ledger.client.pexpire(key, 1)
    eventually(lambda: ledger.get(expired) is None, 60, "the record has expired")

    Janitor(ledger, store_of_api).clean()

    assert not [path for path in stored(kept) if expired in str(path)]
    assert len([path for path in stored(kept) if lives in str(path)]) == 2
    assert traces(ledger, expired) == []

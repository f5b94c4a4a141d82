"""Identical requests: the second is answered by a copy of the first's result, and owns it."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from headgraft.workers.jobs.presence import EncoderPresence, Presence
from headgraft.workers.store import Store
from tests import keyspace
from tests.documents import statuses
from tests.ledger import Ledger
from tests.processes import Processes
from tests.service.files import checkpoint, class_names, head_tensors, injection, stored, submit
from tests.service.injections.test_routes import TOKEN, begin, store_of_api, succeed

__all__ = ["store_of_api"]
VERSIONS = {"headgraft": "1", "torch": "2"}


def online(ledger: Ledger, name: str = "w", digest: str = "d1", **versions: str) -> None:
    encoders = {"minilm": EncoderPresence(dimension=384, digest=digest)}
    about = VERSIONS | versions
    ledger.announce(Presence(name=name, device="cpu", versions=about, encoders=encoders))


def finished(client: httpx.Client, ledger: Ledger, store: Store, owner: str = "local") -> str:
    """Let a first job succeed, by the versions that are online."""
    job = str(submit(client).json()["id"])
    begin(ledger, job)
    succeed(
        ledger, store, job, owner, versions=VERSIONS, encoder={"name": "minilm", "digest": "d1"}
    )
    return job


@pytest.fixture
def first(api: httpx.Client, ledger: Ledger, kept: Path, store_of_api: Store) -> str:
    """Return a job that has succeeded, its worker still online."""
    online(ledger)
    return finished(api, ledger, store_of_api)


def test_an_identical_request_should_be_answered_at_once(
    api: httpx.Client, ledger: Ledger, first: str
) -> None:
    response = submit(api)

    shown = response.json()
    assert response.status_code == 202
    assert (shown["status"], shown["copied_from"], shown["attempt"]) == ("succeeded", first, 0)
    assert shown["id"] != first
    assert shown["finished_at"] >= shown["created_at"]
    original = api.get(f"/v1/injections/{first}").json()
    assert original["copied_from"] is None
    assert shown["artifacts"] == original["artifacts"]
    assert heads(api, first, shown["id"])
    assert ledger.client.xlen(ledger.key("queue")) == 0
    assert statuses(ledger.events(shown["id"])) == ["queued", "succeeded"]
    assert keyspace.leaks(ledger) == []


def heads(api: httpx.Client, *jobs: str) -> bytes:
    """Return the head of jobs whose heads are the same."""
    [head] = {api.get(f"/v1/injections/{job}/head").content for job in jobs}
    return head


@pytest.mark.parametrize("deleted", [0, 1], ids=["the original", "the copy"])
def test_deleting_one_should_leave_the_other(
    api: httpx.Client, first: str, kept: Path, deleted: int
) -> None:
    jobs = [first, submit(api).json()["id"]]
    head = heads(api, *jobs)

    assert api.delete(f"/v1/injections/{jobs[deleted]}").status_code == 204

    assert heads(api, jobs[1 - deleted]) == head
    assert not [path for path in stored(kept) if jobs[deleted] in str(path)]
    assert api.get(f"/v1/injections/{jobs[deleted]}").status_code == 404


def test_a_copy_of_a_copy_should_name_the_job_that_ran(api: httpx.Client, first: str) -> None:
    submit(api)

    assert submit(api).json()["copied_from"] == first


def test_a_copy_should_serve_when_the_original_is_gone(api: httpx.Client, first: str) -> None:
    copied = submit(api).json()["id"]
    api.delete(f"/v1/injections/{first}")

    again = submit(api).json()

    assert again["status"] == "succeeded"
    assert heads(api, copied, again["id"])


OTHER: dict[str, dict[str, Any]] = {
    "other classes": {"add": ["another"]},
    "a description": {"add": [{"name": "new 0", "description": "a line"}, "new 1", "new 2"]},
    "another method": {"method": "costa"},
    "a setting": {"settings": {"gamma": 2}},
    "calibration": {"calibration": {"prefer": "old"}},
    "a network": {"network": {"timm": "resnet18"}},
    "other templates": {"class_embeddings": {"templates": ["a {}"]}},
    "told to run": {"reuse": False},
}


@pytest.mark.parametrize("fields", OTHER.values(), ids=OTHER.keys())
def test_what_is_not_identical_should_run(
    api: httpx.Client, first: str, fields: dict[str, Any]
) -> None:
    assert submit(api, injection(**fields)).json()["status"] == "queued"


def test_another_file_should_run(api: httpx.Client, first: str) -> None:
    file = checkpoint({**head_tensors(), "more": ("F32", (1,), b"\0" * 4)})

    assert submit(api, file=file).json()["status"] == "queued"


def test_a_request_for_a_kept_head_should_be_known_by_its_content(
    api: httpx.Client, first: str
) -> None:
    head = submit(api, {"class_names": class_names()}, to="/v1/heads").json()["id"]
    asked = {"head_id": head, "add": class_names(3, "new"), "method": "ridge"}

    assert api.post("/v1/injections", json=asked).json()["copied_from"] == first


def test_what_does_not_change_the_result_should_not_matter(api: httpx.Client, first: str) -> None:
    request = injection(timeout_seconds=5, metadata={"a": "b"}, deadline_seconds=9)

    shown = submit(api, request).json()

    assert (shown["copied_from"], shown["metadata"]) == (first, {"a": "b"})


@pytest.mark.parametrize(
    "online_now",
    [
        {"torch": "3"},
        {"digest": "d2"},
        {"name": "w2", "headgraft": "2"},
        {"name": "w2", "digest": "d2"},
    ],
)
def test_what_workers_would_now_make_otherwise_should_run(
    api: httpx.Client, ledger: Ledger, first: str, online_now: dict[str, str]
) -> None:
    online(ledger, **online_now)

    assert submit(api).json()["status"] == "queued"


def test_without_a_worker_nobody_should_vouch_for_a_result(
    api: httpx.Client, ledger: Ledger, first: str
) -> None:
    ledger.withdraw("w")

    assert submit(api).json()["status"] == "queued"


def test_a_result_whose_files_are_gone_should_be_made_again(
    api: httpx.Client, first: str, store_of_api: Store, kept: Path
) -> None:
    store_of_api.delete(f"local/{first}/{TOKEN}/report.json")

    job = submit(api).json()

    assert job["status"] == "queued"
    assert [path.name for path in stored(kept / "local" / job["id"])] == ["request.json"]


def test_a_failed_job_should_be_no_result(api: httpx.Client, ledger: Ledger) -> None:
    online(ledger)
    ledger.cancel(submit(api).json()["id"])

    assert submit(api).json()["status"] == "queued"


def test_a_result_should_be_its_owners_alone(
    ada: httpx.Client, grace: httpx.Client, ledger: Ledger, keyed_api: Processes
) -> None:
    online(ledger)
    store = Store(f"file://{keyed_api.store_folder}")
    job = finished(ada, ledger, store, "ada")

    assert submit(grace).json()["status"] == "queued"
    assert submit(ada).json()["copied_from"] == job


def test_a_wait_should_be_answered_finished(api: httpx.Client, first: str) -> None:
    api.headers["Prefer"] = "wait=5"

    response = submit(api)

    assert (response.status_code, response.json()["copied_from"]) == (200, first)


def test_a_damaged_result_should_be_computed_again(
    api: httpx.Client, ledger: Ledger, first: str, kept: Path
) -> None:
    [file] = kept.glob(f"local/{first}/*/head.safetensors")
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    shown = submit(api).json()

    assert (shown["status"], shown["copied_from"]) == ("queued", None)
    record = ledger.get(first)
    assert record is not None
    assert record.damaged == "head.safetensors"
    assert [path for path in stored(kept) if shown["id"] in str(path) and "head" in path.name] == []
    assert keyspace.leaks(ledger) == []

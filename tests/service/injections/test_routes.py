"""Injections over HTTP: created, listed, read, cancelled, downloaded."""

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from headgraft.workers.jobs.spec import JobError, JobSpec
from headgraft.workers.store import Store
from tests.documents import manifest
from tests.ledger import Ledger
from tests.processes import Processes, eventually
from tests.service.files import (
    FEATURES,
    SEEN,
    checkpoint,
    class_names,
    injection,
    parts,
    pointers,
    problem,
    stored,
    submit,
    vectors,
)

TOKEN = "0123456789abcdef"


def created(client: httpx.Client, **fields: Any) -> str:
    """Queue an injection and return its id."""
    response = submit(client, injection(**fields))
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


def begin(ledger: Ledger, job: str) -> None:
    """Do what a worker does first."""
    ledger.open_queue()
    claim = ledger.claim("worker", lease_seconds=15, block_seconds=1)
    assert claim is not None
    assert claim.job == job
    assert ledger.begin(claim, "worker", TOKEN) == "begun"


def succeed(ledger: Ledger, store: Store, job: str, owner: str = "local", **told: Any) -> bytes:
    """Do what a worker does last; return the head it left. `told` goes into the manifest."""
    head = b"the extended head" * 1000
    files = {"head.safetensors": head, "report.json": b'{"kind": "report"}'}
    prefix = f"{owner}/{job}/{TOKEN}/"
    about = {}
    for name, content in files.items():
        store.write(prefix + name, content)
        about[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert ledger.succeed(job, TOKEN, manifest(prefix, files=about, **told)) == "ok"
    return head


@pytest.fixture
def store_of_api(open_api: Processes) -> Store:
    """Return the store that the server without keys serves from."""
    return Store(f"file://{open_api.store_folder}")


@pytest.mark.parametrize("file_first", [False, True], ids=["request first", "file first"])
def test_a_submission_should_be_queued_whatever_the_order_of_its_parts(
    api: httpx.Client, ledger: Ledger, kept: Path, file_first: bool
) -> None:
    response = submit(api, file_first=file_first)

    assert response.status_code == 202, response.text
    resource = response.json()
    assert response.headers["location"] == f"/v1/injections/{resource['id']}"
    assert response.headers["retry-after"] == "1"
    record = ledger.get(resource["id"])
    assert record is not None
    spec = JobSpec.model_validate_json((kept / record.spec).read_bytes())
    assert (kept / spec.head.path).read_bytes() == checkpoint()
    assert spec.head.located.weight == "fc.weight"
    assert [entry.name for entry in spec.add] == class_names(3, "new")


def test_the_resource_should_show_the_job_as_documented(api: httpx.Client) -> None:
    request = injection(
        settings={"gamma": 2},
        timeout_seconds=60,
        class_embeddings=vectors(),
        metadata={"team": "birds"},
    )
    resource = submit(api, request).json()
    own = f"/v1/injections/{resource['id']}"

    assert resource.pop("created_at").endswith("Z")
    assert resource == {
        "object": "injection",
        "id": resource["id"],
        "status": "queued",
        "attempt": 0,
        "progress": 0.0,
        "stage": None,
        "loss": None,
        "method": "ridge",
        "settings": {"gamma": 2},
        "class_embeddings": {"kind": "embeddings", "encoder": None},
        "seen_count": SEEN,
        "unseen_count": 3,
        "head": {
            "id": None,
            "sha256": hashlib.sha256(checkpoint()).hexdigest(),
            "bytes": len(checkpoint()),
            "format": "safetensors",
            "feature_size": FEATURES,
            "dtype": "F32",
            "weight": "fc.weight",
            "bias": "fc.bias",
        },
        "features": None,
        "queue_position": 1,
        "workers_online": 0,
        "seconds_left": None,
        "copied_from": None,
        "metadata": {"team": "birds"},
        "started_at": None,
        "finished_at": None,
        "expires_at": None,
        "timeout_seconds": 60,
        "deadline_at": None,
        "error": None,
        "warnings": [],
        "artifacts": [],
        "seconds": None,
        "result": None,
        "links": {
            "self": own,
            **{part: f"{own}/{part}" for part in ("events", "head", "report", "cancel")},
        },
    }
    assert api.get(own).json()["id"] == resource["id"]


def test_class_names_may_come_with_the_file(api: httpx.Client) -> None:
    file = checkpoint(metadata={"class_names": json.dumps(class_names())})

    response = submit(api, injection(class_names=None), file)

    assert response.status_code == 202, response.text
    assert response.json()["seen_count"] == SEEN


def test_a_kept_head_should_be_extended_by_its_id(api: httpx.Client) -> None:
    asked = {"class_names": class_names()}
    head = submit(api, asked, to="/v1/heads").json()["id"]

    response = api.post("/v1/injections", json={"head_id": head, "add": ["new"]})

    assert response.status_code == 202, response.text
    assert response.json()["head"]["id"] == head


@pytest.mark.parametrize(
    ("request_fields", "status", "code"),
    [
        ({"head_id": "head_000000000000000000000000"}, 404, "not_found"),
        ({}, 422, "invalid_request"),
    ],
    ids=["unknown head", "no head"],
)
def test_a_submission_without_a_head_should_be_refused(
    api: httpx.Client, request_fields: dict[str, str], status: int, code: str
) -> None:
    response = api.post("/v1/injections", json={"add": ["new"], **request_fields})

    assert pointers(problem(response, status, code)) == ["/head_id"]


def test_a_kept_head_and_a_file_should_be_refused_together(api: httpx.Client, kept: Path) -> None:
    for file_first in (False, True):
        response = submit(api, injection(head_id="head_1"), file_first=file_first)
        assert pointers(problem(response, 422, "invalid_request")) == ["/head_id"]
    assert stored(kept) == []


def test_the_queue_position_should_count_the_jobs_ahead(api: httpx.Client) -> None:
    jobs = [created(api) for _ in range(3)]

    positions = [api.get(f"/v1/injections/{job}").json()["queue_position"] for job in jobs]

    assert positions == [1, 2, 3]


def test_the_list_should_page_from_the_newest_to_the_oldest(api: httpx.Client) -> None:
    jobs = [created(api) for _ in range(5)]

    first = api.get("/v1/injections", params={"limit": 3}).json()
    last_id = first["data"][-1]["id"]
    rest = api.get("/v1/injections", params={"limit": 3, "after": last_id}).json()

    listed = [one["id"] for one in first["data"] + rest["data"]]
    assert sorted(listed) == sorted(jobs)
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert len(first["data"]) == 3


def test_a_limit_beyond_the_legal_ones_should_be_refused(api: httpx.Client) -> None:
    document = problem(api.get("/v1/injections?limit=1000"), 422, "invalid_request")

    assert pointers(document) == ["/limit"]
    assert "1000" in document["detail"]


def test_a_cancelled_job_should_show_it_and_refuse_a_second_cancel(api: httpx.Client) -> None:
    own = f"/v1/injections/{created(api)}"

    first, second = api.post(f"{own}/cancel"), api.post(f"{own}/cancel")

    assert first.status_code == 200
    assert first.json()["status"] == "cancelled"
    assert problem(second, 409, "conflict")["injection"]["status"] == "cancelled"
    problem(api.get(f"{own}/head"), 409, "conflict")


def test_a_head_should_not_be_there_before_its_time(api: httpx.Client) -> None:
    own = f"/v1/injections/{created(api)}"

    for part in ("head", "report"):
        problem(api.get(f"{own}/{part}"), 409, "not_ready")


def test_a_finished_job_should_hand_out_what_the_worker_left(
    api: httpx.Client, ledger: Ledger, store_of_api: Store
) -> None:
    job = created(api)
    own = f"/v1/injections/{job}"
    begin(ledger, job)
    content = succeed(ledger, store_of_api, job)

    resource = api.get(own).json()
    head = api.get(f"{own}/head")

    assert resource["status"] == "succeeded"
    assert resource["seconds"] == {"load": 0.25}
    assert resource["finished_at"] > resource["created_at"]
    assert [one["name"] for one in resource["artifacts"]] == ["head.safetensors", "report.json"]
    assert head.content == content
    assert head.headers["content-length"] == str(len(content))
    assert head.headers["etag"] == f'"{resource["artifacts"][0]["sha256"]}"'
    assert "attachment" in head.headers["content-disposition"]
    assert api.get(f"{own}/report").json() == {"kind": "report"}
    again = api.get(f"{own}/head", headers={"If-None-Match": head.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_failed_job_should_say_why_wherever_it_is_asked(
    api: httpx.Client, ledger: Ledger
) -> None:
    job = created(api)
    begin(ledger, job)
    ledger.fail(job, TOKEN, JobError(code="out_of_memory", message="it took too much"))

    resource = api.get(f"/v1/injections/{job}").json()
    document = problem(api.get(f"/v1/injections/{job}/head"), 409, "out_of_memory")

    assert resource["error"] == {"code": "out_of_memory", "message": "it took too much"}
    assert "it took too much" in document["detail"]


def test_a_file_that_is_gone_should_be_not_found(
    api: httpx.Client, ledger: Ledger, store_of_api: Store
) -> None:
    job = created(api)
    begin(ledger, job)
    succeed(ledger, store_of_api, job)
    store_of_api.delete(f"local/{job}/{TOKEN}/")

    problem(api.get(f"/v1/injections/{job}/head"), 404, "not_found")


def test_files_should_lie_under_their_owner(ada: httpx.Client, keyed_api: Processes) -> None:
    job = created(ada)

    folder = keyed_api.store_folder / "ada"
    assert (folder / job / "request.json").is_file()
    assert (folder / "uploads" / job / "checkpoint.safetensors").is_file()


def test_a_repeated_part_should_be_refused(api: httpx.Client, kept: Path) -> None:
    twice = parts(injection(), checkpoint()) + parts(None, checkpoint())

    document = problem(api.post("/v1/injections", files=twice), 422, "invalid_request")

    assert "comes twice" in document["detail"]
    assert stored(kept) == []


def test_a_download_that_is_cut_off_should_leave_no_traceback(
    api: httpx.Client, ledger: Ledger, store_of_api: Store, open_api: Processes
) -> None:
    job = created(api)
    begin(ledger, job)
    big = b"x" * 64_000_000
    store_of_api.write(f"local/{job}/{TOKEN}/head.safetensors", big)
    about = {"bytes": len(big), "sha256": hashlib.sha256(big).hexdigest()}
    left = manifest(f"local/{job}/{TOKEN}/", files={"head.safetensors": about})
    ledger.succeed(job, TOKEN, left)
    log = open_api.log("headgraft.service.server")
    before = len(log.read_text())

    with api.stream("GET", f"/v1/injections/{job}/head") as response:
        next(response.iter_raw())

    eventually(lambda: f"{job}/head" in log.read_text()[before:], 60, "the request is logged")
    assert "Traceback" not in log.read_text()[before:]
    assert api.get(f"/v1/injections/{job}/head").content == big

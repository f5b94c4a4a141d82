"""The API killed or cut off around the one script that creates a job."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests import checkpoints
from tests.faults.conftest import OWNER, Bench
from tests.fundamentals import client
from tests.processes import eventually


def post(bench: Bench, **headers: str) -> httpx.Response:
    """Post a good injection and return whatever comes back."""
    uploaded = checkpoints.write(bench.folder / "in.safetensors")
    files = {
        "request": (None, json.dumps(checkpoints.request()).encode()),
        "checkpoint": (uploaded.name, uploaded.read_bytes()),
    }
    url = f"{bench.processes.url}/v1/injections"
    return httpx.post(url, files=files, headers=headers, timeout=30)


def test_an_api_killed_before_it_created_the_job_should_leave_no_job(bench: Bench) -> None:
    fault, _ = bench.fault("before_create", "kill")
    bench.processes.start_api(**fault)
    with pytest.raises(httpx.TransportError):
        post(bench)
    assert bench.ledger.jobs(OWNER) == []
    assert bench.ledger.client.xlen(bench.ledger.key("queue")) == 0


def test_an_api_killed_after_it_created_the_job_should_leave_one_that_runs(bench: Bench) -> None:
    fault, _ = bench.fault("after_create", "kill")
    bench.processes.start_api(**fault)
    with pytest.raises(httpx.TransportError):
        post(bench)
    [record] = bench.ledger.jobs(OWNER)
    bench.processes.start_worker()
    assert bench.ended(record.id).status == "succeeded"


@pytest.mark.parametrize("point", ["before_create", "after_create"])
def test_an_api_killed_under_a_key_should_make_one_job_when_asked_again(
    bench: Bench, point: str
) -> None:
    """Killed before the script, the key is free a minute later; behind it, the job is found."""
    fault, _ = bench.fault(point, "kill")
    bench.processes.start_api(**fault)
    key = {"Idempotency-Key": "once"}
    with pytest.raises(httpx.TransportError):
        post(bench, **key)
    bench.processes.start_api()
    if point == "before_create":
        [entry] = bench.ledger.client.scan_iter(bench.ledger.key("answer", "*"))
        assert 50_000 < bench.ledger.client.pttl(entry) <= 60_000
        assert post(bench, **key).json()["code"] == "idempotency_key_in_flight"
        bench.ledger.client.pexpire(entry, 1)
        eventually(lambda: not bench.ledger.client.exists(entry), 60, "the minute is over")
    answers = [post(bench, **key) for _ in range(2)]
    assert [one.status_code for one in answers] == [202, 202]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert len(bench.ledger.jobs(OWNER)) == 1
    assert bench.ledger.client.xlen(bench.ledger.key("queue")) == 1


def test_a_job_whose_creation_was_not_confirmed_should_keep_its_files(bench: Bench) -> None:
    """Redis goes away between the upload and the script: who knows whether the job exists?"""
    fault, flag = bench.fault("before_create", "hold")
    bench.processes.start_api(**fault)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post, bench)
        eventually(flag.exists, 60, "the API is about to create the job")
        bench.server.stop()
        flag.with_name(f"{flag.name}.go").touch()
        refused = answer.result(60)
    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
    names = {path.name for path in bench.processes.store_folder.rglob("*") if path.is_file()}
    assert names == {"request.json", "checkpoint.safetensors"}
    bench.server.restart()
    assert post(bench).status_code == 202


def test_every_route_should_answer_503_while_redis_is_away(bench: Bench) -> None:
    bench.processes.start_api()
    queued = post(bench).json()["id"]
    bench.server.stop()
    for path in ("", f"/{queued}", f"/{queued}/head"):
        reply = httpx.get(f"{bench.processes.url}/v1/injections{path}", timeout=30)
        assert reply.status_code == 503, path
        assert reply.json()["code"] == "redis_unavailable"
        assert int(reply.headers["Retry-After"]) > 0
    assert httpx.get(f"{bench.processes.url}/healthz").status_code == 200
    bench.server.restart()
    assert client.look(bench.processes.url, queued)["status"] == "queued"

"""Following a job as server-sent events: whole, in order, once, and to the end."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from headgraft.service.local import redis_server
from headgraft.workers.jobs.events import StepProgress
from headgraft.workers.jobs.spec import JobError
from tests.ledger import Ledger
from tests.processes import Processes, eventually
from tests.service.files import problem
from tests.service.injections.test_routes import TOKEN, begin, created


def events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Read events off the wire; comments are passed over."""
    event: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line == "" and event:
            yield event
            event = {}
        elif line and not line.startswith(":"):
            event[name] = json.loads(value) if name == "data" else value


def follow(
    client: httpx.Client, job: str, last: str | None = None, take: int = 10_000
) -> list[dict[str, Any]]:
    """Follow a job, at most for `take` events."""
    headers = {"Last-Event-ID": last} if last else {}
    found = []
    with client.stream("GET", f"/v1/injections/{job}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        for event in events(response.iter_lines()):
            found.append(event)
            if len(found) == take:
                break
    return found


def run(ledger: Ledger, job: str, steps: int, pause_seconds: float = 0.0) -> None:
    """Do what a worker does, in steps."""
    begin(ledger, job)
    for step in range(steps):
        assert ledger.progress(job, TOKEN, StepProgress(step / steps, "train", 1.0)) == "ok"
        time.sleep(pause_seconds)
    ledger.fail(job, TOKEN, JobError(code="timeout", message="too slow"))


def test_a_finished_job_should_be_told_from_its_first_event_to_its_last(
    api: httpx.Client, ledger: Ledger
) -> None:
    job = created(api)
    run(ledger, job, 3)

    told = follow(api, job)

    assert [one["event"] for one in told] == ["status"] * 2 + ["progress"] * 3 + ["status"]
    assert [one["data"]["status"] for one in told if one["event"] == "status"] == [
        "queued",
        "running",
        "failed",
    ]
    assert told[2]["data"]["stage"] == "train"
    assert told[-1]["data"]["code"] == "timeout"


def test_events_should_arrive_while_the_job_runs(api: httpx.Client, ledger: Ledger) -> None:
    job = created(api)
    begin(ledger, job)
    with api.stream("GET", f"/v1/injections/{job}/events") as response:
        told = events(response.iter_lines())
        assert [next(told)["data"]["status"] for _ in range(2)] == ["queued", "running"]
        for step in range(5):
            start = time.monotonic()
            ledger.progress(job, TOKEN, StepProgress(step / 5, "train", None))
            assert next(told)["data"]["progress"] == step / 5
            assert time.monotonic() - start < 5
        ledger.cancel(job)
        assert next(told)["data"]["status"] == "cancelled"
        assert list(told) == []


def test_a_resumed_stream_should_miss_and_double_nothing(api: httpx.Client, ledger: Ledger) -> None:
    job = created(api)
    worker = threading.Thread(target=run, args=(ledger, job, 200, 0.005))
    worker.start()
    told: list[dict[str, Any]] = []
    while not told or told[-1]["data"].get("status") != "failed":
        told += follow(api, job, told[-1]["id"] if told else None, take=17)
    worker.join()

    stored = ledger.events(job)
    assert [one["id"] for one in told] == [event.id for event in stored]
    assert len(told) == 203


def test_a_stream_resumed_behind_the_last_event_should_end_at_once(
    api: httpx.Client, ledger: Ledger
) -> None:
    job = created(api)
    run(ledger, job, 1)
    last = ledger.events(job)[-1].id

    assert follow(api, job, last) == []


def test_more_events_than_one_reading_takes_should_all_be_told(
    api: httpx.Client, ledger: Ledger
) -> None:
    job = created(api)
    run(ledger, job, 1200)

    assert len(follow(api, job)) == 1203


def test_many_streams_should_be_served_by_one_reader(
    api: httpx.Client, ledger: Ledger, open_api: Processes
) -> None:
    job = created(api)
    counts: list[int] = []

    def listen() -> None:
        with httpx.Client(base_url=open_api.url, timeout=30) as client:
            counts.append(len(follow(client, job)))

    listeners = [threading.Thread(target=listen) for _ in range(20)]
    for listener in listeners:
        listener.start()
    subscribers: Any = ledger.client.pubsub_numsub("headgraft:wake")
    run(ledger, job, 20, 0.01)
    for listener in listeners:
        listener.join(60)

    assert counts == [23] * 20
    # One for each running server of this test run, whatever the number of streams.
    assert subscribers[0][1] <= 2


@pytest.mark.parametrize("last", ["x", "1", "1-2-3", "99999999999999999999-0", "-"])
def test_a_last_event_id_of_nobodys_should_be_refused(api: httpx.Client, last: str) -> None:
    job = created(api)

    response = api.get(f"/v1/injections/{job}/events", headers={"Last-Event-ID": last})

    assert repr(last) in problem(response, 422, "invalid_request")["detail"]


def test_a_stream_should_survive_a_restart_of_redis(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("redis")
    redis = redis_server.start(folder)
    processes = Processes(tmp_path_factory.mktemp("api"), redis.url)
    try:
        processes.start_api()
        with httpx.Client(base_url=processes.url, timeout=40) as client:
            job = created(client)
            with client.stream("GET", f"/v1/injections/{job}/events") as response:
                told = events(response.iter_lines())
                assert next(told)["data"]["status"] == "queued"
                redis.stop()
                redis = redis_server.start(folder)
                assert redis.url == processes.redis_url
                ledger = Ledger(redis.url)
                eventually(lambda: ledger.cancel(job) == "cancelled", 60, "cancelled")
                assert next(told)["data"]["status"] == "cancelled"
                ledger.client.close()
    finally:
        processes.stop()
        redis.stop()


def test_a_silent_stream_should_be_kept_alive(api: httpx.Client) -> None:
    """A proxy cuts what says nothing for half a minute; a comment comes in half that time."""
    with api.stream("GET", f"/v1/injections/{created(api)}/events") as response:
        told = response.iter_lines()
        start = time.monotonic()
        comment = next(line for line in told if line.startswith(":"))
        assert comment
        assert time.monotonic() - start < 30


def test_a_stop_should_not_wait_for_open_streams(
    redis_url: str, ledger: Ledger, tmp_path_factory: pytest.TempPathFactory
) -> None:
    processes = Processes(tmp_path_factory.mktemp("stop"), redis_url)
    server = processes.start_api()
    try:
        with httpx.Client(base_url=processes.url, timeout=30) as client:
            job = created(client)
            with client.stream("GET", f"/v1/injections/{job}/events") as response:
                told = events(response.iter_lines())
                assert next(told)["data"]["status"] == "queued"
                start = time.monotonic()
                server.terminate()
                assert list(told) == []
                server.wait(60)
                assert time.monotonic() - start < 10
        assert "Traceback" not in processes.log("headgraft.service.server").read_text()
    finally:
        processes.stop()

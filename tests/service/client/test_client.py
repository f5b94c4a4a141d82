"""The Python client against the real API, a real worker and a real Redis."""

import hashlib
import io
import os
import re
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from headgraft import Headgraft, HeadgraftError
from headgraft.arguments import InjectionOptions
from headgraft.events import EventReader, ServerEvent
from headgraft.service.cli.inject import InjectArguments, carry_out
from headgraft.service.cli.parsing import TypedError
from headgraft.service.local import redis_server
from headgraft.service.local.redis_server import RedisServer
from headgraft.service.schemas.injections import InjectionResource
from headgraft.service.schemas.requests import InjectionRequest
from headgraft.workers.jobs.events import StatusEvent
from tests import checkpoints, features, pictures
from tests.documents import statuses
from tests.processes import Processes, eventually, free_port
from tests.service.client.networks import timm_network

KEY = "a-key-of-ada-0123456789"
LONG = {"epochs": 100_000, "early_stop": False}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Start a Redis server of this module's own, which its tests may stop."""
    server = redis_server.start(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def processes(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Start the API, with a key, and a worker."""
    keys = {"HEADGRAFT_API_KEYS": f"ada:{KEY}"}
    running = Processes(tmp_path_factory.mktemp("product"), server.url, keys)
    try:
        running.start_api()
        running.start_worker()
        yield running
    finally:
        running.stop()


@pytest.fixture
def client(processes: Processes) -> Iterator[Headgraft]:
    """Return a client with the key."""
    with Headgraft(processes.url, KEY) as client:
        yield client


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Return a small checkpoint."""
    return checkpoints.write(tmp_path / "net.safetensors")


def request(**fields: Any) -> dict[str, Any]:
    return checkpoints.request(method="ridge", **fields)


def test_a_checkpoint_should_come_back_extended(client: Headgraft, checkpoint: Path) -> None:
    seen: list[InjectionResource] = []
    sent: list[tuple[int, int]] = []
    # Settings of its own: an equal request would have the result of another test's job at once.
    asked = request(settings={"scale": 1.25})
    queued = client.submit(checkpoint, on_upload=lambda *pair: sent.append(pair), **asked)
    assert queued.status in {"queued", "running"}  # the worker may be quicker than the answer
    size = checkpoint.stat().st_size
    assert sent[-1] == (size, size)

    ended = client.wait(queued.id, seen.append, timeout_seconds=60)
    assert ended.status == "succeeded", ended.error
    assert [one.status for one in seen][-1] == "succeeded"
    assert {one.progress for one in seen} > {0.0}

    assert statuses(client.events(queued.id)) == ["queued", "running", "succeeded"]

    target = client.download(queued.id, checkpoint.with_name("net+3.safetensors"))
    about = next(one for one in ended.artifacts if one.name == "head.safetensors")
    assert hashlib.sha256(target.read_bytes()).hexdigest() == about.sha256
    assert sorted(path.name for path in target.parent.iterdir()) == [target.name, checkpoint.name]
    assert client.report(queued.id)


def test_an_uploaded_head_should_be_injected_by_its_id(client: Headgraft, checkpoint: Path) -> None:
    head = client.upload_head(checkpoint, class_names=checkpoints.class_names(20))
    fields = request()
    del fields["class_names"]
    queued = client.submit(head_id=head.id, **fields)
    assert queued.head.id == head.id
    assert client.wait(queued.id, timeout_seconds=60).status == "succeeded"
    assert queued.id in [one.id for one in client.injections(limit=5)]


def test_uploaded_features_should_change_what_the_estimate_rests_on(
    client: Headgraft, checkpoint: Path
) -> None:
    file = features.write(checkpoint.with_name("pictures.safetensors"))
    sent: list[tuple[int, int]] = []
    uploaded = client.upload_features(file, on_upload=lambda *pair: sent.append(pair))
    assert sent[-1] == (file.stat().st_size,) * 2

    given = (uploaded.id, None)
    jobs = [client.submit(checkpoint, features_id=one, **request()) for one in given]
    by_pictures, without = (client.wait(job.id, timeout_seconds=60) for job in jobs)

    assert by_pictures.result
    assert without.result
    estimate, other = by_pictures.result.estimate, without.result.estimate
    assert estimate
    assert estimate.pictures == 100
    assert "estimated from 100 labelled features of 20 classes" in estimate.reasons[0]
    report = client.report(jobs[0].id)
    assert report.estimate == estimate
    assert report.verdict
    assert report.verdict == by_pictures.result.verdict
    assert other
    assert other.pictures == 0
    assert "without a picture" in other.reasons[0]

    client.delete_features(uploaded.id)
    with pytest.raises(HeadgraftError, match="there are no features"):
        client.submit(checkpoint, features_id=uploaded.id, **request())


def test_arrays_without_labels_should_be_counted_by_job_and_report(
    client: Headgraft, checkpoint: Path
) -> None:
    given_ND = np.random.default_rng(5).normal(size=(30, 16)).astype(np.float32)
    labels_N = np.array([3, 5, *[-1] * 28])

    without = client.upload_features(given_ND)
    generic = client.upload_features(torch.from_numpy(given_ND).T.contiguous().T, generic=True)
    some = client.upload_features(given_ND.astype(">f8"), labels_N.astype(">i2"))

    assert (without.labelled, without.dtype, without.generic) == (0, "F32", False)
    assert (generic.labelled, generic.generic) == (0, True)
    assert (some.labelled, some.label_max, some.dtype, some.label_dtype) == (2, 5, "F64", "I16")
    jobs = [client.submit(checkpoint, features_id=one.id, **request()) for one in (without, some)]
    counts = {"count": 30, "labelled": 2, "classes": 2, "generic": False}
    assert jobs[1].features
    assert jobs[1].features.model_dump() == {"id": some.id, **counts}
    for job in jobs:
        client.result(job.id, timeout_seconds=60)
    report = client.report(jobs[1].id)
    assert report.features
    assert report.features.model_dump() == counts
    told = "pictures: 30 without a label, of what the head is used for."
    assert told in client.report_html(jobs[0].id)

    # Equal features are one request, in whichever upload they came; what they show is part of it.
    again = client.upload_features(given_ND)
    assert client.submit(checkpoint, features_id=again.id, **request()).copied_from == jobs[0].id
    assert client.submit(checkpoint, features_id=generic.id, **request()).copied_from is None


@pytest.mark.parametrize(
    ("given", "fields", "complaint"),
    [
        (Path("f"), {"generic": True}, "file f says itself .* leave both out, or give arrays"),
        (Path("f"), {"labels": np.zeros(3)}, "leave both out, or give arrays"),
        (np.array(["no", "number"]), {}, "must be arrays of numbers"),
        (np.zeros(3), {}, r"features have the shape \[3\]; the file must hold"),
    ],
)
def test_what_is_no_array_of_features_should_be_refused(
    client: Headgraft, given: Any, fields: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(HeadgraftError, match=complaint) as caught:
        client.upload_features(given, **fields)
    assert caught.value.code == "invalid_features"


def test_the_command_should_upload_features_first_and_name_them_in_the_end(
    processes: Processes, checkpoint: Path
) -> None:
    file = features.write(checkpoint.with_name("pictures.safetensors"))
    names = [{"name": name} for name in checkpoints.class_names(20)]
    add = [{"name": "okapi"}]
    arguments = InjectArguments(checkpoint, add, names, method="ridge", features=file)

    said = carry_out(arguments, processes.url, KEY, Console(stderr=True))
    assert re.search(r"expected, by 100 labelled features: \d+ % .* of new and \d+ %", said)
    assert said.startswith(("at chance: ", "poor: ", "usable: ", "good: "))

    folder = pictures.write(checkpoint.with_name("pictures"), classes=1, each=3) / "class 0"
    network = checkpoint.with_name("whole.safetensors")
    save_file(timm_network("test_resnet", 20).state_dict(), network)
    looked = replace(
        arguments, checkpoint=network, features=folder, network={"timm": "test_resnet"}
    )
    shown = io.StringIO()
    carry_out(looked, processes.url, KEY, Console(file=shown, width=300))
    assert f"{folder}: features 3 x 96 without labels, {folder} has no" in shown.getvalue()
    with Headgraft(processes.url, KEY) as service:
        [newest] = service.injections(limit=1)
    assert newest.features
    assert (newest.features.count, newest.features.labelled) == (3, 0)

    missing = replace(arguments, features=Path("nowhere"), may_overwrite=True)
    with pytest.raises(TypedError, match="no file of features nowhere"):
        carry_out(missing, processes.url, KEY, Console(stderr=True))
    wrong = replace(arguments, features=checkpoint, may_overwrite=True)
    with pytest.raises(HeadgraftError, match="must hold the tensor 'features'"):
        carry_out(wrong, processes.url, KEY, Console(stderr=True))


def test_a_refusal_should_say_where_and_why(client: Headgraft, checkpoint: Path) -> None:
    with pytest.raises(HeadgraftError, match="'class 1'") as caught:
        client.submit(checkpoint, **{**request(), "add": ["class 1", "x", "y"]})
    assert (caught.value.status, caught.value.code) == (422, "invalid_request")
    assert caught.value.errors[0]["pointer"].startswith("/add/0")


def test_a_wrong_key_should_be_told_where_the_key_comes_from(processes: Processes) -> None:
    with (
        Headgraft(processes.url, "another-key-0123456789") as client,
        pytest.raises(HeadgraftError, match="HEADGRAFT_API_KEY") as caught,
    ):
        client.methods()
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")


def test_a_key_that_no_header_can_carry_should_not_be_shown() -> None:
    with pytest.raises(HeadgraftError) as caught:
        Headgraft(key="secret\nkey")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://host:eight", "http://"])
def test_what_is_no_url_should_be_shown(url: str) -> None:
    with pytest.raises(HeadgraftError, match="is no URL of a service"):
        Headgraft(url)


def test_nobody_listening_should_say_what_to_start() -> None:
    with (
        Headgraft(f"http://127.0.0.1:{free_port()}") as client,
        pytest.raises(HeadgraftError, match="start it with `headgraft up`"),
    ):
        client.methods()


def test_a_cancelled_job_should_end_the_waiting_and_not_be_cancelled_twice(
    client: Headgraft, processes: Processes, checkpoint: Path
) -> None:
    queued = client.submit(checkpoint, **{**request(), "method": "icis", "settings": LONG})
    timer = threading.Timer(1.0, client.cancel, [queued.id])
    timer.start()
    assert client.wait(queued.id, timeout_seconds=60).status == "cancelled"
    timer.join()
    with pytest.raises(HeadgraftError, match="has ended already") as caught:
        client.cancel(queued.id)
    assert caught.value.status == 409
    with pytest.raises(HeadgraftError, match="was cancelled"):
        client.download(queued.id, checkpoint.with_name("none.safetensors"))
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]


def test_waiting_should_end_in_time(client: Headgraft, checkpoint: Path) -> None:
    queued = client.submit(checkpoint, **{**request(), "method": "icis", "settings": LONG})
    with pytest.raises(HeadgraftError, match="is still") as caught:
        client.wait(queued.id, timeout_seconds=1)
    assert caught.value.code == "timeout"
    client.cancel(queued.id)


def test_waiting_should_survive_a_restart_of_the_service(
    client: Headgraft, processes: Processes, checkpoint: Path
) -> None:
    queued = client.submit(checkpoint, **{**request(), "method": "icis", "settings": LONG})
    ended: list[InjectionResource] = []
    waiting = threading.Thread(target=lambda: ended.append(client.wait(queued.id)))
    waiting.start()
    api = processes.started[0]
    api.send_signal(signal.SIGKILL)
    api.wait()
    processes.started[0] = processes.start_api()
    with Headgraft(processes.url, KEY) as another:
        another.cancel(queued.id)
    waiting.join(60)
    assert [one.status for one in ended] == ["cancelled"]


def test_reading_should_outlast_a_redis_that_restarts(
    client: Headgraft, server: RedisServer
) -> None:
    listed: list[list[InjectionResource]] = []
    os.kill(server.pid, signal.SIGKILL)
    eventually(lambda: server.poll() is not None, 60, "the server ended")
    with pytest.raises(HeadgraftError) as caught:
        client.cancel("inj_x")
    assert caught.value.code == "redis_unavailable"
    reading = threading.Thread(target=lambda: listed.append(client.injections()))
    reading.start()
    server.restart()
    reading.join(60)
    assert len(listed) == 1


def test_what_is_installed_should_be_listed(client: Headgraft) -> None:
    assert "ridge" in [one.name for one in client.methods()]
    eventually(client.encoders, 60, "the worker is online")
    assert "minilm" in [one.name for one in client.encoders()]


def test_the_client_should_know_every_field_of_a_request() -> None:
    options = set(InjectionOptions.__annotations__)
    assert options | {"add", "head_id"} == set(InjectionRequest.model_fields)


def events(lines: list[str]) -> list[ServerEvent]:
    reader = EventReader()
    return [event for line in lines if (event := reader.feed(line))]


def test_a_stream_should_be_read_event_by_event() -> None:
    running = StatusEvent(type="status", job="inj_1", at=1, status="running", attempt=1)
    first = ["id: 1-0", "event: status", f"data: {running.model_dump_json()}", ""]
    unknown = ["id: 2-0", "event: sung", 'data: {"type":"sung"}', ""]
    assert events([": hello", *first, *unknown]) == [
        ServerEvent(),
        ServerEvent("1-0", running),
        ServerEvent("2-0"),
    ]


def test_an_event_cut_off_should_not_be_read() -> None:
    assert events(["id: 1-0", 'data: {"a"']) == []

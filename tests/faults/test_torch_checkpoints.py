"""Torch files from the upload to the end, the ones made to harm the worker included."""

import json
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests import checkpoints
from tests.faults.conftest import Bench
from tests.fundamentals import client
from tests.processes import eventually
from tests.workers.torch_files import files

MIB = 1 << 20
# Seconds in which a sound file is read beside other work, too.
LIMITS = {"HEADGRAFT_CONVERT_SECONDS": "8", "HEADGRAFT_CONVERT_MEMORY_BYTES": str(200 * MIB)}


@pytest.fixture(scope="module")
def running(shared_bench: Bench) -> Bench:
    """Start an API, and a worker that allows a torch file little."""
    shared_bench.processes.start_api()
    shared_bench.processes.start_worker(**LIMITS)
    return shared_bench


def post(bench: Bench, file: Path) -> str:
    return str(client.post(bench.processes.url, file, checkpoints.request())["id"])


def ended(bench: Bench, file: Path) -> dict[str, Any]:
    return client.wait(bench.processes.url, post(bench, file), 180)


def confined(bench: Bench) -> list[psutil.Process]:
    """Return the processes that read torch files for the worker."""
    worker = bench.processes.started[-1]
    return files.readers(psutil.Process(worker.pid))


def test_a_torch_file_should_come_back_extended_with_its_rows_untouched(
    running: Bench, tmp_path: Path
) -> None:
    old = checkpoints.tensors(dtype=torch.bfloat16)
    job = ended(running, files.write(tmp_path / "in.pth", {"state_dict": old, "epoch": 9}))
    assert job["status"] == "succeeded", job["error"]
    url = running.processes.url
    new = load_file(client.download(url, job["id"], tmp_path / "out.safetensors"))
    for name, tensor in old.items():
        assert torch.equal(new[name][: len(tensor)] if tensor.ndim else new[name], tensor)
    assert new["fc.weight"].shape == (23, 16)
    assert job["head"] | {"sha256": "", "bytes": 0} == {
        "id": None,
        "sha256": "",
        "bytes": 0,
        "format": "torch",
        "feature_size": 16,
        "dtype": "BF16",
        "weight": "fc.weight",
        "bias": "fc.bias",
    }
    report = httpx.get(f"{url}/v1/injections/{job['id']}/report").json()
    assert report["seen_rows"]["bit_identical"] is True
    assert report["converted"]["dropped"] == ["epoch"]


@pytest.mark.soak
def test_a_kept_torch_head_should_outlive_a_worker_that_dies_with_it(
    bench: Bench, tmp_path: Path
) -> None:
    """It is converted twice, each time from the bytes that were uploaded."""
    fault, flag = bench.fault("before_publish", "kill")
    bench.processes.start_api()
    bench.processes.start_worker(HEADGRAFT_LEASE_SECONDS="1", **fault)
    file = files.write(tmp_path / "in.pt", checkpoints.tensors())
    asked = checkpoints.request()
    url = bench.processes.url
    with file.open("rb") as sent:
        parts = {"request": (None, json.dumps({"class_names": asked.pop("class_names")}))}
        kept = httpx.post(f"{url}/v1/heads", files={**parts, "checkpoint": ("in.pt", sent)}).json()
    [stored] = bench.processes.store_folder.rglob("checkpoint.pt")
    before = stored.stat()

    made = httpx.post(f"{url}/v1/injections", json={**asked, "head_id": kept["id"]}).json()

    record = bench.ended(made["id"])
    assert flag.exists()
    assert (record.status, record.attempt) == ("succeeded", 2)
    after = stored.stat()
    assert stored.read_bytes() == file.read_bytes()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert list(stored.parent.iterdir()) == [stored]


def test_files_that_harm_their_reader_should_fail_and_leave_the_warm_worker_alive(
    running: Bench, tmp_path: Path
) -> None:
    harmful = {
        "bytes of memory": files.bomb(tmp_path / "eats-memory.pt", 600 * MIB),
        "longer than 8 s": files.endless(tmp_path / "never-ends.pt"),
        "'posix.system'": files.forbidden(tmp_path / "runs-a-command.pt"),
    }
    jobs = {sign: post(running, file) for sign, file in harmful.items()}
    after = client.wait(
        running.processes.url, post(running, checkpoints.write(tmp_path / "in")), 180
    )
    assert after["status"] == "succeeded"
    worker = running.read(after["id"]).worker
    for sign, job in jobs.items():
        record = running.ended(job)
        assert (record.status, record.attempt, record.worker) == ("failed", 1, worker)
        assert record.error is not None
        assert record.error.code == "invalid_checkpoint"
        assert sign in record.error.message
    assert confined(running) == []


def test_cancelled_or_killed_a_conversion_should_end_soon(bench: Bench, tmp_path: Path) -> None:
    bench.processes.start_api()
    worker = bench.processes.start_worker()
    endless = files.endless(tmp_path / "never-ends.pt")

    job = post(bench, endless)
    eventually(lambda: confined(bench), 60, "the conversion runs")
    client.cancel(bench.processes.url, job)
    eventually(lambda: not confined(bench), 30, "the conversion ends")
    assert bench.read(job).status == "cancelled"

    post(bench, endless)
    eventually(lambda: confined(bench), 60, "the second conversion runs")
    [reader] = confined(bench)
    eventually(lambda: reader.cpu_times().user > 4, 60, "it is past its imports")
    for child in bench.processes.children(worker):
        psutil.Process(child).kill()
    eventually(lambda: not files.reads(reader), 60, "the conversion ends")

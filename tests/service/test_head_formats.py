"""A method whose head is no rows, from request to download, with a real worker."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import onnxruntime
import pytest
from rich.console import Console
from safetensors.torch import load_file

from service import redis_server
from service.cli_inject import Order, carry_out
from service.client import Headgraft
from tests import checkpoints
from tests.fundamentals import client
from tests.processes import Processes, eventually
from tests.service.files import problem


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Run Redis, API and a worker."""
    folder = tmp_path_factory.mktemp("product")
    server = redis_server.start(folder / "redis")
    running = Processes(folder, server.url)
    try:
        running.start_api()
        running.start_worker()
        encoders = f"{running.url}/v1/encoders"
        eventually(lambda: httpx.get(encoders).json()["data"], 60, "a worker is online")
        yield running
    finally:
        running.stop()
        server.stop()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.write(tmp_path_factory.mktemp("uploads") / "in.safetensors")


def run_by(worker: Processes, source: Path, method: str) -> dict[str, Any]:
    queued = client.post(worker.url, source, {**checkpoints.request(), "method": method})
    done = client.wait(worker.url, queued["id"])
    assert done["status"] == "succeeded", done
    return done


@pytest.fixture(scope="module")
def semantic(worker: Processes, source: Path) -> dict[str, Any]:
    """Return a finished injection by conse."""
    return run_by(worker, source, "conse")


def ask(worker: Processes, job: dict[str, Any], **query: str) -> httpx.Response:
    return httpx.get(f"{worker.url}/v1/injections/{job['id']}/head", params=query)


def test_a_head_that_is_no_rows_should_name_its_formats_when_asked_for_a_checkpoint(
    worker: Processes, semantic: dict[str, Any]
) -> None:
    document = problem(ask(worker, semantic), 409, "head_not_linear")

    assert "'conse'" in document["detail"]
    assert "?format=native" in document["detail"]
    assert "?format=onnx" in document["detail"]


def test_it_should_come_as_safetensors_with_the_old_rows_in_it(
    worker: Processes, semantic: dict[str, Any], source: Path, tmp_path: Path
) -> None:
    with Headgraft(worker.url, None) as ours:
        saved = ours.download(semantic["id"], tmp_path / "head.safetensors", "native")

    old, new = load_file(source), load_file(saved)
    assert new["weight"].numpy().tobytes() == old["fc.weight"].numpy().tobytes()
    assert new["class_embeddings"].shape[0] == 23


def test_it_should_come_as_an_onnx_program_under_its_hash(
    worker: Processes, semantic: dict[str, Any]
) -> None:
    response = ask(worker, semantic, format="onnx")

    assert response.headers["ETag"] == f'"{hashlib.sha256(response.content).hexdigest()}"'
    assert response.headers["Content-Disposition"].endswith('.onnx"')
    session = onnxruntime.InferenceSession(response.content, providers=["CPUExecutionProvider"])
    assert session.get_outputs()[0].shape == ["N", 23]


def test_its_report_should_say_the_kind(worker: Processes, semantic: dict[str, Any]) -> None:
    report = httpx.get(f"{worker.url}/v1/injections/{semantic['id']}/report").json()

    assert report["kind"] == "semantic"
    assert report["seen_rows"]["bit_identical"] is True


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_the_command_line_should_save_the_format_that_the_files_name_says(
    worker: Processes, source: Path, tmp_path: Path, suffix: str
) -> None:
    target = tmp_path / f"head{suffix}"
    entries = [{"name": name} for name in checkpoints.class_names(20)]
    order = Order(source, [{"name": "new"}], entries, method="conse", target=target)

    said = carry_out(order, worker.url, None, Console(stderr=True))

    assert "1 new ones, by conse" in said
    kind = b"semantic_head" if suffix == ".onnx" else b'"kind":"semantic"'
    assert kind in target.read_bytes()


def test_rows_should_have_no_other_format_than_the_checkpoint(
    worker: Processes, source: Path
) -> None:
    linear = run_by(worker, source, "ridge")

    document = problem(ask(worker, linear, format="onnx"), 409, "head_is_linear")

    assert "without a format" in document["detail"]
    assert ask(worker, linear).status_code == 200


def test_a_format_that_is_none_should_be_refused(
    worker: Processes, semantic: dict[str, Any]
) -> None:
    document = problem(ask(worker, semantic, format="csv"), 422, "invalid_request")

    assert "native" in document["detail"]


def test_the_catalogue_should_tell_the_kind_of_head(worker: Processes) -> None:
    methods = httpx.get(f"{worker.url}/v1/methods").json()["data"]

    kinds = {method["name"]: method["head"] for method in methods}
    assert (kinds["conse"], kinds["ridge"], kinds["auto"]) == ("semantic", "rows", "rows")

"""The formats of a head, of rows and of another kind, from request to download, with a worker."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.torch
import torch
from onnx import numpy_helper
from rich.console import Console
from safetensors.torch import load_file

from headgraft import Headgraft
from headgraft.service.cli.inject import InjectArguments, carry_out
from headgraft.service.cli.parsing import added
from headgraft.workers.names.class_list import NamedClass, class_list
from tests import checkpoints
from tests.fundamentals import client
from tests.processes import Processes
from tests.service.files import problem


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.write(tmp_path_factory.mktemp("uploads") / "in.safetensors")


def run_by(product: Processes, source: Path, method: str) -> dict[str, Any]:
    queued = client.post(product.url, source, {**checkpoints.request(), "method": method})
    done = client.wait(product.url, queued["id"])
    assert done["status"] == "succeeded", done
    return done


@pytest.fixture(scope="module")
def semantic(product: Processes, source: Path) -> dict[str, Any]:
    """Return a finished injection by conse."""
    return run_by(product, source, "conse")


def ask(product: Processes, job: dict[str, Any], **query: str) -> httpx.Response:
    return httpx.get(f"{product.url}/v1/injections/{job['id']}/head", params=query)


def test_a_head_that_is_no_rows_should_name_its_formats_when_asked_for_a_checkpoint(
    product: Processes, semantic: dict[str, Any]
) -> None:
    document = problem(ask(product, semantic), 409, "head_not_linear")

    assert "'conse'" in document["detail"]
    assert "?format=native" in document["detail"]
    assert "?format=onnx" in document["detail"]


def test_it_should_come_as_safetensors_with_the_old_rows_in_it(
    product: Processes, semantic: dict[str, Any], source: Path, tmp_path: Path
) -> None:
    with Headgraft(product.url, None) as ours:
        saved = ours.download(semantic["id"], tmp_path / "head.safetensors", "native")

    old, new = load_file(source), load_file(saved)
    assert new["weight"].numpy().tobytes() == old["fc.weight"].numpy().tobytes()
    assert new["class_embeddings"].shape[0] == 23


def test_it_should_come_as_an_onnx_program_under_its_hash(
    product: Processes, semantic: dict[str, Any]
) -> None:
    response = ask(product, semantic, format="onnx")

    assert response.headers["ETag"] == f'"{hashlib.sha256(response.content).hexdigest()}"'
    assert response.headers["Content-Disposition"].endswith('.onnx"')
    session = onnxruntime.InferenceSession(response.content, providers=["CPUExecutionProvider"])
    assert session.get_outputs()[0].shape == ["N", 23]


def test_its_report_should_say_the_kind(product: Processes, semantic: dict[str, Any]) -> None:
    report = httpx.get(f"{product.url}/v1/injections/{semantic['id']}/report").json()

    assert report["kind"] == "semantic"
    assert report["seen_rows"]["bit_identical"] is True


@pytest.mark.parametrize(
    ("method", "suffix", "content"),
    [
        ("conse", ".onnx", b"semantic_head"),
        ("conse", ".safetensors", b'"kind":"semantic"'),
        ("ridge", ".safetensors", b'"conv.weight"'),
        ("ridge", ".onnx", b"Gemm"),
        ("ridge", ".pt", b"data.pkl"),
        ("ridge", ".npz", b"weight.npy"),
        ("ridge", ".json", b'"id2label"'),
    ],
)
def test_the_command_line_should_save_the_format_that_the_files_name_says(
    product: Processes, source: Path, tmp_path: Path, method: str, suffix: str, content: bytes
) -> None:
    target = tmp_path / f"head{suffix}"
    entries = class_list(map(NamedClass, checkpoints.class_names(20)), "a test")
    wish = {"enabled": False}
    arguments = InjectArguments(
        source, added(["new"], None), entries, method=method, calibration=wish, target=target
    )

    said = carry_out(arguments, product.url, None, Console(stderr=True))

    assert f"1 new ones, by {method}" in said
    assert content in target.read_bytes()


@pytest.fixture(scope="module")
def linear(product: Processes, source: Path) -> dict[str, Any]:
    """Return a finished injection by ridge."""
    return run_by(product, source, "ridge")


def test_rows_should_have_no_native_format(product: Processes, linear: dict[str, Any]) -> None:
    document = problem(ask(product, linear, format="native"), 409, "head_is_linear")

    assert "?format=safetensors or ?format=onnx" in document["detail"]


def test_every_format_should_hold_the_checkpoints_own_rows(
    product: Processes, linear: dict[str, Any]
) -> None:
    checkpoint = ask(product, linear)
    assert ask(product, linear, format="safetensors").content == checkpoint.content
    rows = safetensors.torch.load(checkpoint.content)["fc.weight"].numpy()
    npz = np.load(io.BytesIO(ask(product, linear, format="npz").content), allow_pickle=False)
    state = torch.load(io.BytesIO(ask(product, linear, format="pt").content), weights_only=True)
    program = onnx.load_from_string(ask(product, linear, format="onnx").content)
    stored = {one.name: numpy_helper.to_array(one) for one in program.graph.initializer}

    assert rows.shape == (23, 16)
    for other in (npz["weight"], state["weight"].numpy(), stored["weight"]):
        assert other.tobytes() == rows.tobytes()


def test_the_program_should_answer_as_a_layer_of_the_state_dict(
    product: Processes, linear: dict[str, Any]
) -> None:
    layer = torch.nn.Linear(16, 23)
    content = ask(product, linear, format="pt").content
    layer.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))
    session = onnxruntime.InferenceSession(
        ask(product, linear, format="onnx").content, providers=["CPUExecutionProvider"]
    )
    features_ND = torch.randn(9, 16, generator=torch.Generator().manual_seed(3))

    (logits_NC,) = session.run(None, {"features": features_ND.numpy()})

    np.testing.assert_allclose(logits_NC, layer(features_ND).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "semantic"])
def test_labels_should_come_as_a_hugging_face_config_has_them(
    product: Processes, kind: str, request: pytest.FixtureRequest
) -> None:
    response = ask(product, request.getfixturevalue(kind), format="labels")

    assert response.headers["content-type"] == "application/json"
    told = response.json()
    assert (told["id2label"]["0"], told["id2label"]["22"]) == ("class 0", "new 2")
    assert told["label2id"]["new 2"] == 22


def test_the_checkpoint_should_name_its_classes(product: Processes, linear: dict[str, Any]) -> None:
    content = ask(product, linear).content
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])

    told = header["__metadata__"]
    assert json.loads(told["class_names"])[20:] == ["new 0", "new 1", "new 2"]
    assert json.loads(told["id2label"]) == ask(product, linear, format="labels").json()["id2label"]


def test_a_format_that_is_none_should_be_refused(
    product: Processes, semantic: dict[str, Any]
) -> None:
    document = problem(ask(product, semantic, format="csv"), 422, "invalid_request")

    assert "native" in document["detail"]


def test_the_catalogue_should_tell_the_kind_of_head(product: Processes) -> None:
    methods = httpx.get(f"{product.url}/v1/methods").json()["data"]

    kinds = {method["name"]: method["head"] for method in methods}
    assert (kinds["conse"], kinds["ridge"], kinds["auto"]) == ("semantic", "rows", "rows")

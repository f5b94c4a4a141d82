"""Features of regions over HTTP: uploaded, refused where they do not fit, and used by a worker."""

import io
import re
import struct
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from headgraft import Headgraft
from tests import checkpoints, region_features
from tests.fundamentals import client
from tests.processes import Processes, eventually
from tests.service.files import Tensors, checkpoint, numbers, pointers, problem, submit
from tests.service.uploads.feature_files import labels, send

GRID, STRIP = (40, 8, 3, 2), (40, 8, 6)


def regions(
    shape: tuple[int, ...] = GRID, dtype: str = "F32", bad: int | None = None
) -> dict[str, Any]:
    """Return the tensors of an upload; `bad` puts an infinity at a flat index."""
    place = None if bad is None else (bad, float("inf"))
    values = [number % 20 for number in range(shape[0])]
    return {"features": (dtype, shape, numbers(shape, dtype, place)), "labels": labels(values)}


@pytest.mark.parametrize("dtype", ["F16", "F32"])
@pytest.mark.parametrize("shape", [GRID, STRIP])
def test_features_of_regions_should_be_taken_and_described(
    api: httpx.Client, shape: tuple[int, ...], dtype: str
) -> None:
    response = send(api, checkpoint(regions(shape, dtype)))

    assert response.status_code == 201, response.text
    shown = response.json()
    assert (shown["count"], shown["feature_size"], shown["dtype"]) == (40, 8, dtype)
    assert shown["region_shape"] == list(shape[2:])


REFUSED: dict[str, tuple[Tensors, str]] = {
    "of five dimensions": (regions((4, 8, 3, 2, 2)), r"shape \[4, 8, 3, 2, 2\]"),
    "bfloat16": (regions(dtype="BF16"), "features are BF16; legal are F16, F32"),
    "double": (regions(dtype="F64"), "features are F64; legal are F16, F32"),
    "no region": (regions((4, 8, 0)), r"shape \[4, 8, 0\]"),
    "an infinity": (regions(bad=8 * 6 * 3 + 1), "NaN or infinity in row 3"),
}


@pytest.mark.parametrize(("tensors", "complaint"), REFUSED.values(), ids=REFUSED.keys())
def test_other_features_should_be_refused(
    api: httpx.Client, kept: Path, tensors: Tensors, complaint: str
) -> None:
    document = problem(send(api, checkpoint(tensors)), 422, "invalid_features")

    assert re.search(complaint, document["detail"])
    assert not list(kept.rglob("*.safetensors"))


def upload(api: httpx.Client, shape: tuple[int, ...] = GRID) -> str:
    return str(send(api, checkpoint(regions(shape))).json()["id"])


UNFIT: dict[str, tuple[dict[str, Any], str, str]] = {
    "no attributes": (
        {"class_embeddings": checkpoints.vectors(size=6)},
        "/class_embeddings/kind",
        "kind 'attributes', not 'embeddings'",
    ),
    "attributes without a meaning": (
        {"class_embeddings": checkpoints.vectors(size=6, kind="attributes")},
        "/class_embeddings",
        "attribute_vectors, or attribute_names",
    ),
    "too few vectors": (
        {"class_embeddings": region_features.attributes(attribute_vectors=[[1.0]] * 5)},
        "/class_embeddings/attribute_vectors",
        "5 attribute_vectors for classes of 6 attributes",
    ),
    "vectors of two sizes": (
        {
            "class_embeddings": region_features.attributes(
                attribute_vectors=[*[[1.0, 2.0]] * 5, [1.0]]
            )
        },
        "/class_embeddings/attribute_vectors/5",
        "has 1 numbers; the first attribute has 2",
    ),
    "a vector of zeros": (
        {
            "class_embeddings": region_features.attributes(
                attribute_vectors=[*[[1.0, 2.0]] * 5, [0.0, 0.0]]
            )
        },
        "/class_embeddings/attribute_vectors/5",
        "is all zero",
    ),
    "a name twice": (
        {"class_embeddings": region_features.attributes(attribute_names=["a", *"abcde"])},
        "/class_embeddings/attribute_names/0",
        "attribute 'a' stands 2 times",
    ),
    "a picture that is not there": ({"attention_of": [0, 40]}, "/attention_of/1", "no picture 40"),
    "a setting it does not have": ({"settings": {"sparkle": 1}}, "/settings/sparkle", "sparkle"),
}


@pytest.mark.parametrize(("fields", "pointer", "complaint"), UNFIT.values(), ids=UNFIT.keys())
def test_a_request_that_cannot_run_should_be_refused_before_the_queue(
    api: httpx.Client, fields: dict[str, Any], pointer: str, complaint: str
) -> None:
    request = region_features.request(features_id=upload(api), **fields)

    document = problem(submit(api, request), 422, "invalid_request")

    assert pointers(document) == [pointer]
    assert complaint in document["detail"]
    assert api.get("/v1/injections").json()["data"] == []


def test_a_method_that_looks_at_regions_should_be_refused_pooled_features(
    api: httpx.Client,
) -> None:
    request = region_features.request(features_id=upload(api, (40, 8)))

    document = problem(submit(api, request), 422, "invalid_request")

    assert pointers(document) == ["/features_id"]
    assert "looks at regions" in document["detail"]


def test_without_features_it_should_be_told_to_upload_some(api: httpx.Client) -> None:
    document = problem(submit(api, region_features.request()), 422, "invalid_request")

    assert pointers(document) == ["/features_id"]
    assert "POST /v1/features" in document["detail"]


@pytest.mark.parametrize("method", ["ridge", "auto"])
def test_another_method_should_refuse_what_it_does_not_look_at(
    api: httpx.Client, method: str
) -> None:
    request = region_features.request(
        method=method, settings={}, features_id=upload(api), attention_of=[0]
    )

    document = problem(submit(api, request), 422, "invalid_request")

    assert pointers(document) == [
        "/class_embeddings/attribute_names",
        "/class_embeddings/attribute_vectors",
        "/attention_of",
        "/features_id",
    ]


@pytest.fixture(scope="module")
def injection(product: Processes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return a finished injection by msdn, its attributes known by name alone."""
    folder = tmp_path_factory.mktemp("uploads")
    source = checkpoints.write(folder / "in.safetensors")
    file = region_features.write(folder / "regions.safetensors", dtype=torch.float16)
    with Headgraft(product.url) as ours:
        features = ours.upload_features(file)
    named = region_features.attributes(attribute_vectors=None)
    request = region_features.request(features_id=features.id, class_embeddings=named)
    queued = client.post(product.url, source, request)
    done = client.wait(product.url, queued["id"])
    assert done["status"] == "succeeded", done
    return done


def ask(product: Processes, injection: dict[str, Any], **query: str) -> httpx.Response:
    return httpx.get(f"{product.url}/v1/injections/{injection['id']}/head", params=query)


def test_its_head_should_come_in_all_its_formats_and_answer_alike(
    product: Processes, injection: dict[str, Any], tmp_path: Path
) -> None:
    features = torch.randn(5, 8, 6, generator=torch.Generator().manual_seed(3))
    exported = torch.export.load(io.BytesIO(ask(product, injection, format="pt2").content))
    session = onnxruntime.InferenceSession(
        ask(product, injection, format="onnx").content, providers=["CPUExecutionProvider"]
    )

    (logits_NC,) = session.run(None, {"features": features.numpy()})

    np.testing.assert_allclose(exported.module()(features).numpy(), logits_NC, atol=1e-5)
    with Headgraft(product.url) as ours:
        native = load_file(ours.download(injection["id"], tmp_path / "head", "native"))
    assert native["class_attributes"].shape == (23, 6)
    assert struct.unpack("<Q", (tmp_path / "head").read_bytes()[:8])[0] % 8 == 0


def test_a_linear_download_should_be_a_clear_conflict(
    product: Processes, injection: dict[str, Any]
) -> None:
    for query in ({}, {"format": "npz"}, {"format": "pt"}):
        document = problem(ask(product, injection, **query), 409, "head_not_linear")
        assert "'msdn'" in document["detail"]
        assert "?format=pt2" in document["detail"]


def test_its_report_should_hold_the_attention(
    product: Processes, injection: dict[str, Any]
) -> None:
    url = f"{product.url}/v1/injections/{injection['id']}/report"

    report, page = httpx.get(url).json(), httpx.get(url, params={"format": "html"}).text

    assert report["kind"] == "attribute"
    assert injection["class_embeddings"] == {"kind": "attributes", "encoder": "minilm"}
    assert report["attention"][0]["attributes"][0]["name"].startswith("trait ")
    assert page.count('class="map"') == 30


def test_the_catalogue_should_tell_what_it_needs(product: Processes) -> None:
    methods = {one["name"]: one for one in httpx.get(f"{product.url}/v1/methods").json()["data"]}

    assert methods["msdn"]["needs"] == ["attributes", "features", "regions"]
    assert methods["msdn"]["head"] == "attribute"


def test_it_should_be_cancelled_within_a_step(
    product: Processes, injection: dict[str, Any], tmp_path: Path
) -> None:
    source = checkpoints.write(tmp_path / "in.safetensors")
    with Headgraft(product.url) as ours:
        file = region_features.write(tmp_path / "regions.safetensors")
        features = ours.upload_features(file)
        settings = {"preset": "paper", "epochs": 10_000}
        request = region_features.request(features_id=features.id, settings=settings)
        queued = client.post(product.url, source, request)
        eventually(lambda: ours.injection(queued["id"]).stage == "train", 60, "it trains")

        assert ours.cancel(queued["id"]).status == "cancelled"

        # The one worker takes the next job at once.
        after = client.post(product.url, source, checkpoints.request())
        assert client.wait(product.url, after["id"])["status"] == "succeeded"

"""Labelled features over HTTP: uploaded once, checked as they come, used, deleted."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import Processes
from tests.sending import CONTENT_TYPE, part
from tests.service.conftest import KEYS
from tests.service.files import (
    FEATURES,
    SEEN,
    Tensors,
    checkpoint,
    head_tensors,
    injection,
    pointers,
    problem,
    stored,
    submit,
)
from tests.service.uploads.feature_files import (
    EACH,
    feature_tensors,
    labels,
    pictures,
    send,
    upload,
)

COUNT = SEEN * EACH


def test_uploaded_features_should_be_counted_and_kept(api: httpx.Client, kept: Path) -> None:
    file = checkpoint(feature_tensors())

    response = send(api, file)

    assert response.status_code == 201, response.text
    resource = response.json()
    own = f"/v1/features/{resource['id']}"
    assert response.headers["location"] == own
    assert resource == {
        "object": "features",
        "id": resource["id"],
        "sha256": hashlib.sha256(file).hexdigest(),
        "bytes": len(file),
        "count": COUNT,
        "feature_size": FEATURES,
        "dtype": "F32",
        "label_dtype": "I64",
        "label_min": 0,
        "label_max": SEEN - 1,
        "labelled": COUNT,
        "classes": SEEN,
        "generic": False,
        "region_shape": None,
        "created_at": resource["created_at"],
    }
    assert resource["id"].startswith("feat_")
    assert api.get(own).json() == resource
    assert [path.read_bytes() for path in stored(kept)] == [file]


@pytest.mark.parametrize("label_dtype", ["I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64"])
@pytest.mark.parametrize("dtype", ["F16", "BF16", "F64"])
def test_every_float_and_integer_type_should_be_taken(
    api: httpx.Client, dtype: str, label_dtype: str
) -> None:
    tensors = {"labels": labels([7, 3, 7, 9], label_dtype), "features": pictures(4, 5, dtype)}

    resource = send(api, checkpoint(tensors)).json()

    assert (resource["dtype"], resource["label_dtype"]) == (dtype, label_dtype)
    assert [resource[key] for key in ("label_min", "label_max", "classes")] == [3, 9, 3]


UNLABELLED: dict[str, tuple[Tensors, dict[str, str], dict[str, Any]]] = {
    "no labels": (
        {"features": pictures(4)},
        {"generic": "true"},
        {"label_dtype": None, "label_min": None, "labelled": 0, "classes": 0, "generic": True},
    ),
    "no label known": (
        {"labels": labels([-1] * 4, "I8"), "features": pictures(4)},
        {"generic": "false"},
        {"label_dtype": "I8", "label_max": None, "labelled": 0, "classes": 0, "generic": False},
    ),
    "some labels known": (
        {"features": pictures(4), "labels": labels([7, -1, 3, -1], "I16")},
        {"class_names": "[]"},
        {"label_min": 3, "label_max": 7, "labelled": 2, "classes": 2, "generic": False},
    ),
}


@pytest.mark.parametrize(
    ("tensors", "metadata", "known"), UNLABELLED.values(), ids=UNLABELLED.keys()
)
def test_pictures_without_a_label_should_be_taken_and_counted(
    api: httpx.Client, tensors: Tensors, metadata: dict[str, str], known: dict[str, Any]
) -> None:
    response = send(api, checkpoint(tensors, metadata))

    assert response.status_code == 201, response.text
    resource = response.json()
    assert resource["count"] == 4
    assert {name: resource[name] for name in known} == known
    assert api.get("/v1/features").json()["data"] == [resource]


@pytest.mark.parametrize(
    ("tensors", "generic", "complaint"),
    [
        ({"features": pictures(4)}, "yes", "generic 'yes'; legal are 'true' and 'false'"),
        (feature_tensors(), "true", f"all {COUNT} have one: leave generic out"),
    ],
)
def test_generic_should_be_true_or_false_and_said_of_pictures_without_a_label(
    api: httpx.Client, kept: Path, tensors: Tensors, generic: str, complaint: str
) -> None:
    response = send(api, checkpoint(tensors, {"generic": generic}))

    assert complaint in problem(response, 422, "invalid_features")["detail"]
    assert stored(kept) == []


REFUSED: dict[str, tuple[Tensors, str]] = {
    "labels alone": ({"labels": labels([1])}, "must hold the tensor 'features'.*holds 'labels'"),
    "a third tensor": ({**feature_tensors(), "more": labels([1])}, "it holds 'features', 'labels'"),
    "whole numbers": ({"features": labels([1]), "labels": labels([1])}, "I64; legal are F16"),
    "labels that are floats": (
        {"features": pictures(2), "labels": ("F32", (2,), bytes(8))},
        "labels are F32; legal are I8",
    ),
    "a vector": (
        {"features": ("F32", (2,), bytes(8)), "labels": labels([0, 1])},
        r"features have the shape \[2\]",
    ),
    "no picture": ({"features": pictures(0), "labels": labels([])}, r"shape \[0, 16\]"),
    "too few labels": (
        {"features": pictures(3), "labels": labels([0, 1])},
        "there are 3 features and 2 labels",
    ),
    "a NaN": ({**feature_tensors(), "features": pictures(bad=17)}, "NaN or infinity in row 1"),
    "a label below -1": (
        {"features": pictures(3), "labels": labels([0, -1, -2])},
        "label 2 is -2; labels count.*-1 is of a picture whose class is not known",
    ),
    "a NaN without labels": ({"features": pictures(bad=17)}, "NaN or infinity in row 1"),
    "a label beyond all heads": (
        {"features": pictures(2), "labels": labels([0, 2**63], "U64")},
        f"label 1 is {2**63}; labels count",
    ),
}


@pytest.mark.parametrize(("tensors", "complaint"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_of_something_else_should_be_refused_and_leave_nothing(
    api: httpx.Client, kept: Path, tensors: Tensors, complaint: str
) -> None:
    document = problem(send(api, checkpoint(tensors)), 422, "invalid_features")

    assert re.search(complaint, document["detail"])
    assert stored(kept) == []


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda file: file[:-1], "features file is truncated"),
        (lambda file: file[:50], "within its header"),
        (lambda file: file + b"x", "bytes behind its last tensor"),
        (lambda file: b"PK\x03\x04" + file, "no safetensors file"),
        (lambda file: b"", "within its header"),
    ],
)
def test_a_broken_file_should_be_refused_by_its_own_name(
    api: httpx.Client, kept: Path, spoil: Callable[[bytes], bytes], complaint: str
) -> None:
    document = problem(send(api, spoil(checkpoint(feature_tensors()))), 422, "invalid_features")

    assert complaint in document["detail"]
    assert "checkpoint" not in document["detail"]
    assert stored(kept) == []


@pytest.mark.parametrize("names", [[], ["checkpoint"], ["features", "features"]])
def test_the_body_should_hold_one_part_of_that_name(
    api: httpx.Client, kept: Path, names: list[str]
) -> None:
    file = checkpoint(feature_tensors())
    sent: Any = [(name, ("f", file)) for name in names] or [("other", (None, b"1"))]

    document = problem(api.post("/v1/features", files=sent), 422, "invalid_request")

    assert "features" in document["detail"]
    assert stored(kept) == []


def test_another_content_type_should_be_refused(api: httpx.Client) -> None:
    assert problem(api.post("/v1/features", json={}), 415, "unsupported_media_type")


def test_without_a_key_nothing_should_be_taken(keyed_api: Processes) -> None:
    with httpx.Client(base_url=keyed_api.url) as client:
        response = client.post(
            "/v1/features",
            content=part("features", b""),
            headers={"Content-Type": CONTENT_TYPE},
        )
    problem(response, 401, "unauthorized")


def test_each_owner_should_see_their_own_newest_first(
    ada: httpx.Client, grace: httpx.Client
) -> None:
    assert set(KEYS) == {"ada", "grace"}
    first, second, hers = upload(ada), upload(ada), upload(grace)

    assert [one["id"] for one in ada.get("/v1/features").json()["data"]] == [second, first]
    page = ada.get("/v1/features", params={"limit": 1}).json()
    assert page["has_more"] is True
    rest = ada.get("/v1/features", params={"after": page["data"][0]["id"]}).json()
    assert [one["id"] for one in rest["data"]] == [first]
    for verb in ("GET", "DELETE"):
        problem(ada.request(verb, f"/v1/features/{hers}"), 404, "not_found")
    stolen = submit(ada, injection(features_id=hers))
    assert pointers(problem(stolen, 404, "not_found")) == ["/features_id"]


def test_deleted_features_should_be_gone_with_their_file(api: httpx.Client, kept: Path) -> None:
    name = upload(api)

    assert api.delete(f"/v1/features/{name}").status_code == 204

    assert stored(kept) == []
    assert api.get("/v1/features").json()["data"] == []
    for verb in ("GET", "DELETE"):
        problem(api.request(verb, f"/v1/features/{name}"), 404, "not_found")


def test_features_should_stay_while_a_job_needs_them(api: httpx.Client, kept: Path) -> None:
    name = upload(api)
    job = submit(api, injection(features_id=name)).json()
    counts = {"count": COUNT, "labelled": COUNT, "classes": SEEN, "generic": False}
    assert job["features"] == {"id": name, **counts}

    document = problem(api.delete(f"/v1/features/{name}"), 409, "conflict")

    assert document["injections"] == [job["id"]]
    assert api.post(f"/v1/injections/{job['id']}/cancel").status_code == 200
    assert api.delete(f"/v1/features/{name}").status_code == 204


UNFIT = {
    "of another size": (feature_tensors(size=5), {}, "have 5 numbers each; the head reads 16"),
    "with a label too many": (
        feature_tensors(classes=SEEN + 1),
        {},
        "largest label is 20; with 20 classes in the head, labels are 0 to 19",
    ),
    "of one class": (
        {"features": pictures(2), "labels": labels([4, 4])},
        {},
        "all labelled features are of class 4",
    ),
    "of another size without labels": (
        {"features": pictures(4, 5)},
        {},
        "have 5 numbers each; the head reads 16",
    ),
    "that only calibration would use": (
        {"features": pictures()},
        {"method": "zlap", "calibration": {"enabled": False}},
        f"method 'zlap' takes labelled ones; none of the {COUNT} pictures has one",
    ),
    "that nothing would use": (
        feature_tensors(),
        {"calibration": {"enabled": False}},
        "calibration is off, and method 'ridge' takes none",
    ),
}


@pytest.mark.parametrize("by_id", [True, False], ids=["head_id", "checkpoint"])
@pytest.mark.parametrize(("tensors", "fields", "complaint"), UNFIT.values(), ids=UNFIT.keys())
def test_features_unfit_for_the_head_should_be_refused_before_the_queue(
    api: httpx.Client, tensors: Tensors, fields: dict[str, Any], complaint: str, by_id: bool
) -> None:
    request = injection(features_id=upload(api, tensors), **fields)
    if by_id:
        head = submit(api, {"class_names": request.pop("class_names")}, to="/v1/heads").json()
        response = api.post("/v1/injections", json={**request, "head_id": head["id"]})
    else:
        response = submit(api, request)

    document = problem(response, 422, "invalid_request")

    assert pointers(document) == ["/features_id"]
    assert complaint in document["detail"]
    assert api.get("/v1/injections").json()["data"] == []


def test_unknown_features_should_be_refused(api: httpx.Client) -> None:
    document = problem(submit(api, injection(features_id="feat_0")), 404, "not_found")

    assert pointers(document) == ["/features_id"]


def test_a_bias_should_not_be_asked_for_where_the_file_has_none(api: httpx.Client) -> None:
    tensors = head_tensors()
    del tensors["fc.bias"]
    request = injection(calibration={"add_bias": True})

    document = problem(submit(api, request, checkpoint(tensors)), 422, "invalid_request")

    assert pointers(document) == ["/calibration/add_bias"]
    assert submit(api, request).status_code == 202

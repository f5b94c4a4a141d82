"""Heads over HTTP: uploaded once, read back, found in the file or named."""

import hashlib
import json
from pathlib import Path

import httpx

from tests.service.files import (
    FEATURES,
    SEEN,
    checkpoint,
    class_names,
    head_tensors,
    parts,
    pointers,
    problem,
    stored,
    submit,
)


def test_an_uploaded_head_should_be_described_and_kept(api: httpx.Client, kept: Path) -> None:
    asked = {"class_names": class_names(), "head": {"metric": "cosine", "scale": 20}}

    response = submit(api, asked, to="/v1/heads")

    assert response.status_code == 201, response.text
    resource = response.json()
    own = f"/v1/heads/{resource['id']}"
    assert response.headers["location"] == own
    assert resource["created_at"].endswith("Z")
    assert resource == {
        "object": "head",
        "id": resource["id"],
        "sha256": hashlib.sha256(checkpoint()).hexdigest(),
        "bytes": len(checkpoint()),
        "format": "safetensors",
        "weight": "fc.weight",
        "bias": "fc.bias",
        "class_count": SEEN,
        "feature_size": FEATURES,
        "dtype": "F32",
        "metric": "cosine",
        "scale": 20.0,
        "created_at": resource["created_at"],
        "class_names": class_names(),
    }
    assert api.get(own).json() == resource
    assert [path.read_bytes() for path in stored(kept)] == [checkpoint()]


def test_a_file_that_names_its_classes_should_need_no_request(api: httpx.Client) -> None:
    file = checkpoint(metadata={"class_names": json.dumps(class_names())})

    response = api.post("/v1/heads", files=parts(None, file))

    assert response.status_code == 201, response.text
    assert response.json()["class_names"] == class_names()


def test_a_refused_head_should_leave_nothing(api: httpx.Client, kept: Path) -> None:
    nan = checkpoint(head_tensors(bad_weight=(0, float("nan"))))
    sound = {"class_names": class_names()}

    problem(submit(api, sound, nan, to="/v1/heads"), 422, "invalid_checkpoint")
    no_file = api.post("/v1/heads", files=parts(sound, None))
    assert "checkpoint" in problem(no_file, 422, "invalid_request")["detail"]
    control = {"class_names": [*class_names(SEEN - 1), "a\0"]}
    refused = submit(api, control, to="/v1/heads", file_first=True)
    assert pointers(problem(refused, 422, "invalid_request"))[0] == f"/class_names/{SEEN - 1}"
    assert stored(kept) == []


def test_heads_should_be_listed_newest_first_and_deleted_with_their_files(
    api: httpx.Client, kept: Path
) -> None:
    first, second = (
        submit(api, {"class_names": class_names()}, to="/v1/heads").json()["id"] for _ in range(2)
    )

    assert [one["id"] for one in api.get("/v1/heads").json()["data"]] == [second, first]
    assert api.get("/v1/heads", params={"limit": 1}).json()["has_more"] is True

    assert api.delete(f"/v1/heads/{first}").status_code == 204
    assert len(stored(kept)) == 1
    problem(api.get(f"/v1/heads/{first}"), 404, "not_found")


def test_a_head_should_stay_while_a_job_needs_it(api: httpx.Client) -> None:
    head = submit(api, {"class_names": class_names()}, to="/v1/heads").json()["id"]
    job = api.post("/v1/injections", json={"head_id": head, "add": ["new"]}).json()["id"]

    assert problem(api.delete(f"/v1/heads/{head}"), 409, "conflict")["injections"] == [job]
    api.post(f"/v1/injections/{job}/cancel")
    assert api.delete(f"/v1/heads/{head}").status_code == 204

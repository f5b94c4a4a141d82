"""Torch files at the API: taken as they are, whatever they hold, once the request is sound."""

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from headgraft.service.uploads.checkpoints import CheckpointReader, reader_for
from headgraft.workers.jobs.spec import JobSpec
from tests.ledger import Ledger
from tests.service.files import (
    SEEN,
    class_names,
    injection,
    pointers,
    problem,
    stored,
    submit,
    vectors,
)

ORDERS = pytest.mark.parametrize("file_first", [False, True], ids=["request first", "file first"])


def torch_file(*, is_zip: bool = True) -> bytes:
    """Return what torch.save writes for a small state dict."""
    file = io.BytesIO()
    content = {"fc.weight": torch.ones(SEEN, 16)}
    torch.save(content, file, _use_new_zipfile_serialization=is_zip)
    return file.getvalue()


@ORDERS
def test_a_torch_file_should_be_kept_as_it_came_and_queued(
    api: httpx.Client, ledger: Ledger, kept: Path, file_first: bool
) -> None:
    asked = injection(class_embeddings=vectors(), head={"weight": "fc.weight"})
    sent = torch_file()

    response = submit(api, asked, sent, file_first=file_first)

    assert response.status_code == 202, response.text
    record = ledger.get(response.json()["id"])
    assert record is not None
    head = JobSpec.model_validate_json((kept / record.spec).read_bytes()).head
    assert head.path == f"local/uploads/{record.id}/checkpoint.pt"
    assert (kept / head.path).read_bytes() == sent
    assert (head.format, head.tensors, head.weight) == ("torch", None, "fc.weight")
    assert response.json()["head"] == {
        "id": None,
        "sha256": hashlib.sha256(sent).hexdigest(),
        "bytes": len(sent),
        "format": "torch",
        "feature_size": None,
        "dtype": None,
        "weight": "fc.weight",
        "bias": None,
    }


def test_a_torch_file_may_be_kept_as_a_head_and_used_by_its_id(
    api: httpx.Client, ledger: Ledger
) -> None:
    kept_head = submit(api, {"class_names": class_names()}, torch_file(), to="/v1/heads").json()
    asked = {"head_id": kept_head["id"], "add": ["x"]}

    response = api.post("/v1/injections", json=asked)

    assert (kept_head["format"], kept_head["class_count"]) == ("torch", SEEN)
    assert (kept_head["weight"], kept_head["feature_size"], kept_head["dtype"]) == (None,) * 3
    assert api.get(f"/v1/heads/{kept_head['id']}").json() == kept_head
    assert response.status_code == 202, response.text
    assert response.json()["head"]["id"] == kept_head["id"]


@ORDERS
@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"add": ["class 3"]}, "/add/0/name"),
        ({"method": "wizard"}, "/method"),
        ({"settings": {"gamma": -1}}, "/settings/gamma"),
        ({"class_embeddings": vectors(seen=3)}, "/class_embeddings/seen"),
    ],
)
def test_what_needs_no_header_should_be_checked_at_once(
    api: httpx.Client, kept: Path, fields: dict[str, Any], pointer: str, file_first: bool
) -> None:
    response = submit(api, injection(**fields), torch_file(), file_first=file_first)

    assert pointers(problem(response, 422, "invalid_request")) == [pointer]
    assert stored(kept) == []


@ORDERS
def test_a_truncated_torch_file_should_be_refused(
    api: httpx.Client, kept: Path, file_first: bool
) -> None:
    response = submit(api, file=torch_file()[:-1], file_first=file_first)

    assert "truncated" in problem(response, 422, "invalid_checkpoint")["detail"]
    assert stored(kept) == []


@ORDERS
def test_torchs_format_before_1_6_should_be_taken_too(
    api: httpx.Client, ledger: Ledger, file_first: bool
) -> None:
    response = submit(api, file=torch_file(is_zip=False), file_first=file_first)

    assert response.status_code == 202, response.text
    assert response.json()["head"]["format"] == "torch"


@ORDERS
def test_a_bare_pickle_should_be_refused_with_the_way_out(
    api: httpx.Client, kept: Path, file_first: bool
) -> None:
    response = submit(api, file=pickle.dumps({"fc.weight": [[1.0]]}), file_first=file_first)

    detail = problem(response, 422, "invalid_checkpoint")["detail"]
    assert "bare Python pickle" in detail
    assert "torch.save, or as safetensors" in detail
    assert stored(kept) == []


@ORDERS
def test_anything_else_should_be_told_both_legal_formats(
    api: httpx.Client, file_first: bool
) -> None:
    response = submit(api, file=b"GIF89a and so on", file_first=file_first)

    detail = problem(response, 422, "invalid_checkpoint")["detail"]
    assert "safetensors files, and torch files (.pt, .pth)" in detail


@pytest.mark.parametrize("length", [0x0280, 0x0380, 0x0480, 0x0580])
def test_a_header_whose_length_looks_like_a_pickle_should_stay_a_header(length: int) -> None:
    assert isinstance(reader_for(length.to_bytes(8, "little")), CheckpointReader)

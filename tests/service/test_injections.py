"""Injections over HTTP: created, listed, read, cancelled, downloaded."""

import json
from pathlib import Path

import httpx
import pytest

from tests.service.files import (
    checkpoint,
    class_names,
    injection,
    pointers,
    problem,
    submit,
)
from workers.jobs import JobSpec
from workers.ledger import Ledger


@pytest.mark.parametrize("file_first", [False, True], ids=["request first", "file first"])
def test_a_submission_should_be_queued_whatever_the_order_of_its_parts(
    api: httpx.Client, ledger: Ledger, kept: Path, file_first: bool
) -> None:
    response = submit(api, file_first=file_first)

    assert response.status_code == 202, response.text
    resource = response.json()
    assert response.headers["location"] == f"/v1/injections/{resource['id']}"
    assert response.headers["retry-after"] == "1"
    record = ledger.get(resource["id"])
    assert record is not None
    spec = JobSpec.model_validate_json((kept / record.spec).read_bytes())
    assert (kept / spec.head.path).read_bytes() == checkpoint()
    assert spec.head.tensors.weight == "fc.weight"
    assert [entry.name for entry in spec.add] == class_names(3, "new")

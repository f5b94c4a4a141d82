"""A job whose head is no rows: its two files, and what the report says of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from headgraft.models.heads.semantic import SemanticHead, from_state_dict
from headgraft.workers.report.page import PAGE_FILE
from headgraft.workers.run.job import HEAD_FILE
from headgraft.workers.run.linear_head import LABELS_FILE, NPZ_FILE, ONNX_FILE
from headgraft.workers.run.semantic_head import NATIVE_FILE
from tests import checkpoints
from tests.workers.run.test_job import run, spec


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return checkpoints.write(tmp_path / "in.safetensors")


def run_conse(source: Path, **fields: Any) -> dict[str, Any]:
    return run(spec(method="conse", **fields), source)


def native(folder: Path) -> SemanticHead:
    with safe_open(folder / NATIVE_FILE, framework="pt") as file:
        metadata = file.metadata()
    return from_state_dict(load_file(folder / NATIVE_FILE), metadata)


def test_it_should_leave_files_of_its_own_and_no_extended_checkpoint(source: Path) -> None:
    run_conse(source)

    left = {path.name for path in source.parent.iterdir()}
    assert {NATIVE_FILE, ONNX_FILE, LABELS_FILE} <= left
    assert not {HEAD_FILE, NPZ_FILE} & left


def test_both_files_should_give_the_same_answers(source: Path) -> None:
    run_conse(source)
    features_ND = torch.randn(7, 16, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(
        (source.parent / ONNX_FILE).read_bytes(), providers=["CPUExecutionProvider"]
    )

    (logits_NC,) = session.run(None, {"features": features_ND.numpy()})

    assert logits_NC.shape == (7, 23)
    np.testing.assert_allclose(
        logits_NC, native(source.parent).logits(features_ND).numpy(), atol=1e-5
    )


def test_the_report_should_say_the_kind_and_prove_that_old_rows_are_the_same(source: Path) -> None:
    report = run_conse(source)

    assert report["kind"] == "semantic"
    assert report["seen_rows"]["bit_identical"] is True
    assert set(report["seen_rows"]["sha256_after"]) == {"fc.weight", "fc.bias"}
    assert len(report["nearest_seen_classes"]["new 0"]) == 5
    assert "norms" not in report
    assert report["semantic"]["unseen_offset"] == native(source.parent).unseen_offset


def test_the_old_rows_should_lie_in_the_native_file(source: Path) -> None:
    run_conse(source)

    old, new = load_file(source), load_file(source.parent / NATIVE_FILE)
    assert torch.equal(new["weight"], old["fc.weight"])
    assert torch.equal(new["bias"], old["fc.bias"])


def test_a_report_without_rows_should_have_a_page(source: Path) -> None:
    run_conse(source)

    assert "new 0" in (source.parent / PAGE_FILE).read_text(encoding="utf-8")


def test_calibration_should_make_no_difference(source: Path) -> None:
    calibrated = run_conse(source)["semantic"]

    assert run_conse(source, calibration={"enabled": False})["semantic"] == calibrated


def test_the_report_should_be_the_json_that_is_written(source: Path) -> None:
    report = run_conse(source)

    written = json.loads((source.parent / "report.json").read_text(encoding="utf-8"))
    assert written["semantic"] == report["semantic"]
    assert written["reasons"] == list(report["reasons"])


def test_rows_should_be_called_rows(source: Path) -> None:
    assert run(spec(), source)["kind"] == "rows"

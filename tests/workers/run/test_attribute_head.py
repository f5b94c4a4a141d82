"""A job whose head looks at regions: its files, and what the report says of them."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from headgraft.models.errors import InjectionError
from headgraft.models.heads.attribute import AttributeHead, from_state_dict
from headgraft.models.progress import Progress
from headgraft.workers.report import page
from headgraft.workers.run.attribute_head import EXPORTED_FILE, write_files
from headgraft.workers.run.job import HEAD_FILE, EncoderRegistry, run_job
from headgraft.workers.run.linear_head import LABELS_FILE, ONNX_FILE
from headgraft.workers.run.semantic_head import NATIVE_FILE
from tests import checkpoints, region_features
from tests.workers.run.test_job import LIMITS, spec


def run(folder: Path, file: Path | None = None, **fields: Any) -> dict[str, Any]:
    """Run msdn on random features of regions."""
    asked = {**region_features.request(), **fields}
    asked.pop("class_names")
    source = checkpoints.write(folder / "in.safetensors")
    report, _ = run_job(
        spec(**asked),
        source,
        folder,
        registry=EncoderRegistry(None, folder / "cache", "cpu"),
        device="cpu",
        limits=LIMITS,
        progress=Progress(),
        features=file or region_features.write(folder / "regions.safetensors"),
    )
    return report.model_dump(mode="json", exclude_unset=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("job")


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return run(folder)


@pytest.fixture(scope="module")
def head(folder: Path, report: dict[str, Any]) -> AttributeHead:
    with safe_open(folder / NATIVE_FILE, framework="pt") as file:
        metadata = file.metadata()
    return from_state_dict(load_file(folder / NATIVE_FILE), metadata)


def fresh() -> torch.Tensor:
    return torch.randn(7, 8, 6, generator=torch.Generator().manual_seed(99))


def test_it_should_leave_files_of_its_own_and_no_extended_checkpoint(
    folder: Path, report: dict[str, Any]
) -> None:
    for name in (NATIVE_FILE, ONNX_FILE, EXPORTED_FILE, LABELS_FILE):
        assert (folder / name).exists()
    assert not (folder / HEAD_FILE).exists()
    assert report["kind"] == "attribute"


def test_all_files_should_give_the_same_answers(folder: Path, head: AttributeHead) -> None:
    expected_NC = head.logits(fresh())
    program = torch.export.load(io.BytesIO((folder / EXPORTED_FILE).read_bytes())).module()
    session = onnxruntime.InferenceSession(
        (folder / ONNX_FILE).read_bytes(), providers=["CPUExecutionProvider"]
    )

    (logits_NC,) = session.run(None, {"features": fresh().numpy()})

    assert expected_NC.shape == (7, 23)
    np.testing.assert_allclose(logits_NC, expected_NC.numpy(), atol=1e-5)
    torch.testing.assert_close(program(fresh()), expected_NC, atol=1e-5, rtol=0)


def test_the_report_should_tell_how_it_was_made_and_where_it_looked(
    report: dict[str, Any], head: AttributeHead
) -> None:
    assert report["attribute"]["grid"] == [3, 2]
    assert report["attribute"]["margin"] == head.margin
    assert set(report["attribute"]["hold_out"]) == {"T1", "u", "s", "H"}
    assert len(report["attention"]) == 10  # every second of twenty classes
    attributes = report["attention"][0]["attributes"]
    assert attributes[0]["name"].startswith("trait ")
    assert np.shape(attributes[0]["weights"]) == (3, 2)
    assert len(report["nearest_seen_classes"]["new 0"]) == 5


def test_its_page_should_show_small_pictures_of_the_attention(
    folder: Path, report: dict[str, Any]
) -> None:
    text = (folder / page.PAGE_FILE).read_text(encoding="utf-8")

    assert "Where the head looked" in text
    assert text.count('<svg class="map"') == 10 * 3
    assert 'viewBox="0 0 2 3"' in text
    assert "style=" not in text


def test_pictures_that_were_asked_for_should_be_shown(tmp_path: Path) -> None:
    told = run(tmp_path, attention_of=[40, 2])

    assert [one["picture"] for one in told["attention"]] == [40, 2]


def test_names_of_attributes_should_be_text_and_nothing_else(tmp_path: Path) -> None:
    names = ["<script>alert(1)</script>", "$x$", '"quoted"', "{{ 7 }}", "a & b", "plain"]

    run(tmp_path, class_embeddings=region_features.attributes(attribute_names=names))

    text = (tmp_path / page.PAGE_FILE).read_text(encoding="utf-8")
    assert "<script" not in text


def test_the_same_seed_should_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        run(tmp_path / name)

    for file in (NATIVE_FILE, ONNX_FILE, EXPORTED_FILE):
        one, other = ((tmp_path / name / file).read_bytes() for name in ("one", "other"))
        assert one == other, file


def test_pooled_features_should_be_an_error_of_the_users(tmp_path: Path) -> None:
    pooled = region_features.write(tmp_path / "pooled.safetensors", shape=(8,))

    with pytest.raises(InjectionError, match="with regions they are") as caught:
        run(tmp_path, pooled)
    assert caught.value.code == "invalid_features"


def test_attributes_without_a_meaning_should_be_an_error_of_the_users(tmp_path: Path) -> None:
    bare = region_features.attributes(attribute_names=None, attribute_vectors=None)

    with pytest.raises(InjectionError, match="needs region features and attributes"):
        run(tmp_path, class_embeddings=bare)


def test_a_head_that_was_loaded_should_grow_and_be_written_again(
    head: AttributeHead, tmp_path: Path
) -> None:
    write_files(head.with_classes(["one more"], torch.rand(1, 6) + 0.1), 6, tmp_path)

    program = torch.export.load(io.BytesIO((tmp_path / EXPORTED_FILE).read_bytes())).module()
    logits_NC = program(fresh())
    assert logits_NC.shape == (7, 24)
    assert torch.equal(logits_NC[:, :23], head.logits(fresh()))
    assert json.loads((tmp_path / LABELS_FILE).read_text())["label2id"]["one more"] == 23

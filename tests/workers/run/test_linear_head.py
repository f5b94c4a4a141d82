"""The head alone in other tools' formats, read back by those tools."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from headgraft.models.heads import labels
from headgraft.models.heads.head import Head
from headgraft.workers.run import linear_head
from tests.models.builders import make_head

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@pytest.fixture(params=[(dtype, bias) for dtype in DTYPES for bias in (True, False)], ids=str)
def head(request: pytest.FixtureRequest, tmp_path: Path) -> Head:
    """Return a head whose files have been written."""
    dtype, bias = request.param
    made = make_head(dtype=dtype, bias=bias)
    linear_head.write(made, 9, tmp_path)
    return made


def test_the_state_dict_should_load_as_tensors_only_into_a_layer(
    head: Head, tmp_path: Path
) -> None:
    state = torch.load(tmp_path / linear_head.PT_FILE, weights_only=True)

    layer = torch.nn.Linear(
        head.feature_size, head.class_count, bias=head.bias is not None, dtype=head.weight.dtype
    )
    layer.load_state_dict(state)
    assert torch.equal(layer.weight, head.weight)
    assert head.bias is None or torch.equal(layer.bias, head.bias)


def test_the_npz_file_should_hold_the_same_numbers_without_pickle(
    head: Head, tmp_path: Path
) -> None:
    with np.load(tmp_path / linear_head.NPZ_FILE, allow_pickle=False) as file:
        stored = dict(file)

    bfloat = head.weight.dtype == torch.bfloat16
    expected = head.weight.float() if bfloat else head.weight
    assert stored["weight"].tobytes() == expected.numpy().tobytes()
    assert ("bias" in stored) == (head.bias is not None)
    assert json.loads(str(stored["class_names"])) == list(head.class_names)
    assert (str(stored["seen_count"]), str(stored["metric"])) == ("9", "linear")


def test_the_onnx_program_should_tell_its_classes(head: Head, tmp_path: Path) -> None:
    path = str(tmp_path / linear_head.ONNX_FILE)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    told = session.get_modelmeta().custom_metadata_map

    assert json.loads(told["id2label"])["3"] == "class 3"
    assert (told["seen_count"], told["metric"], float(told["scale"])) == ("9", "linear", 1.0)


def test_the_labels_should_be_json_of_their_own(head: Head, tmp_path: Path) -> None:
    told = json.loads((tmp_path / linear_head.LABELS_FILE).read_text(encoding="utf-8"))

    assert told == labels.config(head.class_names)


def test_a_head_beyond_what_onnx_can_hold_should_come_in_the_other_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgraft.models.heads.onnx.TENSOR_BYTES_MAX", 12 * 6 * 4)

    linear_head.write(make_head(), 9, tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "head.npz",
        "head.pt",
        "labels.json",
    ]

"""The programs of an attribute head answer as the head does, on fresh inputs of any number."""

import io
import json

import numpy as np
import onnxruntime
import pytest
import torch

from headgraft.models.heads.attribute import AttributeHead
from headgraft.models.heads.attribute_export import to_exported, to_onnx
from tests.models.builders import make_attribute_head, some_regions

COUNTS = [1, 2, 5, 33]


@pytest.fixture(scope="module", params=[8, 600], ids=["one block", "three blocks"])
def head(request: pytest.FixtureRequest) -> AttributeHead:
    return make_attribute_head(classes=request.param)


@pytest.fixture(scope="module")
def session(head: AttributeHead) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(to_onnx(head, 4), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def exported(head: AttributeHead) -> torch.nn.Module:
    return torch.export.load(io.BytesIO(to_exported(head, 4))).module()


@pytest.mark.parametrize("count", COUNTS)
def test_the_onnx_program_should_answer_as_the_head_does(
    head: AttributeHead, session: onnxruntime.InferenceSession, count: int
) -> None:
    features_NDR = some_regions(count, seed=count)

    (logits_NC,) = session.run(None, {"features": features_NDR.numpy()})

    np.testing.assert_allclose(logits_NC, head.logits(features_NDR).numpy(), atol=1e-5)


@pytest.mark.parametrize("count", COUNTS)
def test_the_exported_program_should_answer_as_the_head_does(
    head: AttributeHead, exported: torch.nn.Module, count: int
) -> None:
    features_NDR = some_regions(count, seed=count)

    torch.testing.assert_close(exported(features_NDR), head.logits(features_NDR), atol=1e-5, rtol=0)


def test_the_onnx_program_should_name_its_classes(
    head: AttributeHead, session: onnxruntime.InferenceSession
) -> None:
    told = session.get_modelmeta().custom_metadata_map

    assert json.loads(told["class_names"]) == list(head.class_names)
    assert told["kind"] == "attribute"
    assert session.get_inputs()[0].shape == ["N", 6, 4]
    assert session.get_outputs()[0].shape == ["N", head.class_count]


def test_a_region_of_zeros_should_give_finite_answers(
    session: onnxruntime.InferenceSession,
) -> None:
    (logits_NC,) = session.run(None, {"features": np.zeros((1, 6, 4), np.float32)})

    assert np.isfinite(logits_NC).all()


def test_an_added_class_should_leave_the_programs_old_answers_bit_for_bit(
    head: AttributeHead, session: onnxruntime.InferenceSession
) -> None:
    grown = head.with_classes(["one more"], torch.rand(1, 5) + 0.1)
    larger = onnxruntime.InferenceSession(to_onnx(grown, 4), providers=["CPUExecutionProvider"])
    inputs = {"features": some_regions(7).numpy()}

    (old_NC,), (new_NC,) = session.run(None, inputs), larger.run(None, inputs)

    assert np.array_equal(new_NC[:, : head.class_count], old_NC)


def test_the_same_head_should_give_the_same_bytes(head: AttributeHead) -> None:
    assert to_onnx(head, 4) == to_onnx(head, 4)
    assert to_exported(head, 4) == to_exported(head, 4)

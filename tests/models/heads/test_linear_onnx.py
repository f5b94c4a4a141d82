"""A head of rows as an ONNX program: the answers of onnxruntime against torch's."""

import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from headgraft.models.heads import onnx as linear_onnx
from headgraft.models.heads.head import Head, Metric
from tests.models.builders import make_head

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
KINDS = list(itertools.product(("linear", "cosine"), (True, False), DTYPES))


def run(head: Head, features: np.ndarray[tuple[int, int], np.dtype[np.generic]]) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        linear_onnx.linear_to_onnx(head, {}), providers=["CPUExecutionProvider"]
    )
    (logits_NC,) = session.run(None, {"features": features})
    return np.asarray(logits_NC)


@pytest.mark.parametrize(("metric", "bias", "dtype"), KINDS)
@pytest.mark.parametrize("count", [1, 5])
def test_the_program_should_answer_as_the_head_does(
    metric: Metric, bias: bool, dtype: torch.dtype, count: int
) -> None:
    head = make_head(metric=metric, bias=bias, dtype=dtype)
    wide = torch.promote_types(dtype, torch.float32)
    features_ND = torch.randn(count, 6, generator=torch.Generator().manual_seed(1), dtype=wide)

    logits_NC = run(head, features_ND.numpy())

    expected_NC = head.logits(features_ND).numpy()
    assert logits_NC.dtype == expected_NC.dtype
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    np.testing.assert_allclose(logits_NC, expected_NC, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_its_rows_should_be_the_heads_own_numbers(dtype: torch.dtype) -> None:
    head = make_head(dtype=dtype)

    model = onnx.load_from_string(linear_onnx.linear_to_onnx(head, {"about": "it"}))

    stored = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    wide = torch.promote_types(dtype, torch.float32)
    assert head.bias is not None
    assert stored["weight"].tobytes() == head.weight.to(wide).numpy().tobytes()
    assert stored["bias"].tobytes() == head.bias.to(wide).numpy().tobytes()
    assert {one.key: one.value for one in model.metadata_props} == {"about": "it"}


def test_a_feature_of_zeros_should_give_finite_answers_of_a_cosine_head() -> None:
    logits_NC = run(make_head(metric="cosine"), np.zeros((1, 6), np.float32))

    assert np.isfinite(logits_NC).all()


@pytest.mark.parametrize(("limit", "fits"), [(12 * 7 * 4, True), (12 * 7 * 4 - 1, False)])
def test_what_an_onnx_file_cannot_hold_should_be_told_beforehand(
    monkeypatch: pytest.MonkeyPatch, limit: int, fits: bool
) -> None:
    monkeypatch.setattr(linear_onnx, "TENSOR_BYTES_MAX", limit)

    assert linear_onnx.fits(make_head(dtype=torch.float16)) is fits

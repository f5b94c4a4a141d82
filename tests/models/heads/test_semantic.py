"""A semantic head through its files: the tensors again, and the ONNX program's own answers."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

from headgraft.models.embeddings.normalise import prepare
from headgraft.models.errors import InjectionError
from headgraft.models.heads.head import Metric
from headgraft.models.heads.onnx import semantic_to_onnx
from headgraft.models.heads.semantic import SemanticHead, from_state_dict
from tests.models.builders import make_head, make_task


def make(
    *, bias: bool = True, metric: Metric = "linear", dtype: torch.dtype = torch.float32
) -> SemanticHead:
    task = make_task(make_head(bias=bias, metric=metric, dtype=dtype))
    embeddings_CA = torch.cat(
        prepare(task.class_embeddings_SA, task.unseen_class_embeddings_UA, centre=True)
    )
    names = task.head.class_names + task.unseen_class_names
    return SemanticHead(task.head, embeddings_CA, names, temperature=0.7, unseen_offset=0.125)


KINDS = {
    "linear with bias": lambda: make(),
    "linear without bias": lambda: make(bias=False),
    "cosine": lambda: make(bias=False, metric="cosine"),
    "cosine with bias": lambda: make(metric="cosine"),
    "float16": lambda: make(dtype=torch.float16),
    "bfloat16": lambda: make(dtype=torch.bfloat16),
}


@pytest.fixture(params=KINDS)
def head(request: pytest.FixtureRequest) -> SemanticHead:
    return KINDS[request.param]()


def some_features(count: int) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("count", [1, 5])
def test_the_onnx_program_should_answer_as_the_head_does(head: SemanticHead, count: int) -> None:
    session = onnxruntime.InferenceSession(
        semantic_to_onnx(head), providers=["CPUExecutionProvider"]
    )

    (logits_NC,) = session.run(None, {"features": some_features(count).numpy()})

    np.testing.assert_allclose(logits_NC, head.logits(some_features(count)).numpy(), atol=1e-5)


def test_the_onnx_program_should_name_its_classes(head: SemanticHead) -> None:
    session = onnxruntime.InferenceSession(
        semantic_to_onnx(head), providers=["CPUExecutionProvider"]
    )

    told = session.get_modelmeta().custom_metadata_map

    assert json.loads(told["class_names"]) == list(head.class_names)
    assert told["kind"] == "semantic"


def test_a_feature_of_zeros_should_give_finite_answers() -> None:
    session = onnxruntime.InferenceSession(
        semantic_to_onnx(make(bias=False, metric="cosine")), providers=["CPUExecutionProvider"]
    )

    (logits_NC,) = session.run(None, {"features": np.zeros((1, 6), np.float32)})

    assert np.isfinite(logits_NC).all()


def test_tensors_and_metadata_should_make_the_same_head_again(head: SemanticHead) -> None:
    again = from_state_dict(head.state_dict(), head.metadata())

    assert torch.equal(again.logits(some_features(5)), head.logits(some_features(5)))
    assert again.class_names == head.class_names
    assert again.seen.class_names == head.seen.class_names


def test_tensors_of_another_kind_of_head_should_be_refused() -> None:
    with pytest.raises(InjectionError, match="not 'semantic'"):
        from_state_dict(make().state_dict(), {"kind": "linear"})

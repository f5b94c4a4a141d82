"""What is refused before anything is queued, and where the refusal points."""

from typing import Any

import pytest

from headgraft.service.injections import checks
from headgraft.service.schemas.requests import InjectionRequest
from headgraft.workers.formats.find_head import HeadTensors
from headgraft.workers.jobs.presence import EncoderPresence
from headgraft.workers.jobs.request import ClassEntry, NetworkFields
from tests import documents

SEEN = [ClassEntry(name=name) for name in ("cat", "dog")]


def request(**fields: Any) -> InjectionRequest:
    return InjectionRequest.model_validate({"add": ["fox"], **fields})


def pointers(asked: InjectionRequest) -> dict[str, str]:
    return {problem.pointer: problem.detail for problem in checks.injection_problems(asked, SEEN)}


def test_a_name_given_twice_should_be_pointed_at() -> None:
    assert pointers(request(add=["fox", "owl", "fox"])) == {
        "/add/2/name": "class 'fox' is already number 0 of the list"
    }


def test_a_new_name_that_the_head_has_should_be_pointed_at() -> None:
    assert pointers(request(add=["fox", "dog"])) == {
        "/add/1/name": "the head already has a class 'dog'"
    }


@pytest.mark.parametrize(
    ("seen", "unseen", "pointer", "detail"),
    [
        ([[1.0]], [[1.0]], "/class_embeddings/seen", "1 vectors for 2 classes"),
        ([[1.0], [2.0]], [], "/class_embeddings/unseen", "0 vectors for 1 classes"),
        ([[1.0], [0.0]], [[1.0]], "/class_embeddings/seen/1", "'dog' is all zero"),
        ([[1.0], [2.0]], [[]], "/class_embeddings/unseen/0", "'fox' is empty"),
        ([[1.0], [2.0]], [[1.0, 2.0]], "/class_embeddings/unseen/0", "has 2 numbers"),
        ([[1.0], [2.0]], [[float("nan")]], "/class_embeddings/unseen/0", "NaN"),
    ],
)
def test_vectors_that_cannot_be_used_should_be_named(
    seen: Any, unseen: Any, pointer: str, detail: str
) -> None:
    asked = request(class_embeddings={"kind": "attributes", "seen": seen, "unseen": unseen})
    assert detail in pointers(asked)[pointer]


def test_vectors_that_fit_should_be_no_problem() -> None:
    vectors = {"kind": "embeddings", "seen": [[1.0], [2.0]], "unseen": [[3.0]]}
    assert pointers(request(class_embeddings=vectors)) == {}


@pytest.mark.parametrize(("encoder_size", "refused"), [(None, False), (4, False), (3, True)])
def test_embeddings_used_as_rows_should_have_the_heads_size(
    encoder_size: int | None, refused: bool
) -> None:
    tensors = HeadTensors(weight="w", bias=None, class_count=2, feature_size=4, dtype="F32")
    problem = checks.joint_problem(request(), tensors, encoder_size)
    assert (problem is not None) == refused
    assert not problem or ("have 3 numbers" in problem.detail and "rows have 4" in problem.detail)


@pytest.mark.parametrize(
    ("about", "detail"),
    [
        ({"dimension": 4, "kind": "open_clip"}, None),
        ({"dimension": 4}, None),  # a worker of an earlier release does not tell
        ({"dimension": 3, "kind": "open_clip"}, "gives 3 numbers, the head reads 4"),
        ({"dimension": 4, "kind": "sentence-transformers"}, "online are: other"),
    ],
)
def test_prompts_should_be_read_by_a_picture_text_encoder_of_the_heads_features(
    about: dict[str, Any], detail: str | None
) -> None:
    tensors = HeadTensors(weight="w", bias=None, class_count=2, feature_size=4, dtype="F32")
    online = {
        "minilm": EncoderPresence(digest="d1", **about),
        "other": EncoderPresence(dimension=4, digest="d2", kind="open_clip"),
    }
    found = checks.prompt_problem(request(), tensors, online)
    assert (found is None) == (detail is None)
    assert not found or found.pointer == "/class_embeddings/encoder"
    assert not found or str(detail) in found.detail


def test_prompts_should_not_be_made_of_vectors_nor_judged_before_a_worker_is_online() -> None:
    vectors = {"kind": "embeddings", "seen": [[1.0], [2.0]], "unseen": [[3.0]]}
    found = checks.prompt_problem(request(class_embeddings=vectors), None, {})
    assert found
    assert found.pointer == "/class_embeddings"
    assert "name an open_clip encoder" in found.detail
    assert checks.prompt_problem(request(), None, {}) is None


NETWORK = {"timm": "resnet18"}


@pytest.mark.parametrize(
    ("fields", "others", "says"),
    [
        ({}, 0, None),
        ({"network": NETWORK}, 60, None),
        ({"network": NETWORK}, None, None),
        ({"network": NETWORK}, 0, "the checkpoint holds the head's tensors alone"),
        (
            {"network": NETWORK, "method": "ridge", "calibration": {"enabled": False}},
            60,
            "nothing would use the pictures: calibration is off",
        ),
        ({"network": NETWORK, "calibration": {"enabled": False}}, 60, None),
    ],
)
def test_a_network_that_no_picture_is_run_through_should_be_pointed_at(
    fields: dict[str, Any], others: int | None, says: str | None
) -> None:
    found = checks.network_problems(request(**fields), others, None)
    assert [one.pointer for one in found] == (["/network"] if says else [])
    assert says is None or found[0].detail.startswith(says)


@pytest.mark.parametrize(("unlabelled", "refused"), [(0, False), (1, True), (9, True)])
def test_a_network_beside_pictures_without_labels_should_be_pointed_at(
    unlabelled: int, refused: bool
) -> None:
    stored = documents.features_record().features
    features = stored.model_copy(update={"count": 9, "classes": 2, "unlabelled": unlabelled})
    found = checks.network_problems(request(network=NETWORK), 60, features)
    assert [one.detail for one in found] == refused * [
        "pictures of your own without a label, in features_id, take the place of generic ones: "
        "leave network out"
    ]


@pytest.mark.parametrize("name", ["resnet18", "resnet50.a1_in1k", "test_vit"])
def test_a_name_of_a_network_should_be_taken(name: str) -> None:
    assert request(network={"timm": name}).network == NetworkFields(timm=name)


@pytest.mark.parametrize("name", ["", "hf-hub:timm/resnet18", "local-dir:/etc", "../x", "a.b.c"])
def test_a_name_that_would_fetch_something_should_be_refused(name: str) -> None:
    with pytest.raises(ValueError, match="should match pattern"):
        request(network={"timm": name})

"""What makes a submission impossible, and where its answer points."""

import json
import math
from pathlib import Path
from typing import Any

import httpx
import pytest

from headgraft.workers.jobs.presence import EncoderPresence, Presence
from tests.ledger import Ledger
from tests.service.files import (
    FEATURES,
    SEEN,
    checkpoint,
    class_names,
    injection,
    numbers,
    pointers,
    problem,
    stored,
    submit,
    vectors,
)

# tests/faults/test_malformed.py has more of them, in both orders of the parts.
REFUSED = {
    "nothing to add": ({"add": []}, ["/add"]),
    "an empty name": ({"add": [{"name": ""}]}, ["/add/0/name"]),
    "a bare empty name": ({"add": [""]}, ["/add/0"]),
    "a setting of another type": ({"settings": {"centre": "yes"}}, ["/settings/centre"]),
    "a setting that is no number": ({"settings": {"gamma": math.nan}}, ["/settings/gamma"]),
    "a field we do not have": ({"colour": "red"}, ["/colour"]),
    "an unknown kind": ({"class_embeddings": {"kind": "dreams"}}, ["/class_embeddings"]),
    "a template without a place": (
        {"class_embeddings": {"templates": ["a photo"]}},
        ["/class_embeddings/templates/0"],
    ),
    "too few vectors": ({"class_embeddings": vectors(seen=3)}, ["/class_embeddings/seen"]),
    "a vector of zeros": (
        {"class_embeddings": {**vectors(), "unseen": [[1, 2, 3, 4], [0] * 4, [1] * 4]}},
        ["/class_embeddings/unseen/1"],
    ),
    "a vector with NaN": (
        {"class_embeddings": {**vectors(), "unseen": [[1, 2, 3, math.nan], [2] * 4, [1] * 4]}},
        ["/class_embeddings/unseen/0"],
    ),
    "a timeout of nothing": ({"timeout_seconds": 0}, ["/timeout_seconds"]),
    "a scale of nothing": ({"head": {"scale": 0}}, ["/head/scale"]),
}


@pytest.mark.parametrize(("fields", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_an_impossible_request_should_be_refused_where_it_is_wrong(
    api: httpx.Client, kept: Path, fields: dict[str, Any], expected: list[str]
) -> None:
    response = submit(api, injection(**fields))

    found = pointers(problem(response, 422, "invalid_request"))
    assert found[:1] == expected
    assert stored(kept) == []


@pytest.mark.parametrize("name", ["local-dir:/etc", "hf-hub:x/y", "../x", "", "A", "x" * 65])
def test_an_encoder_that_is_no_short_name_should_be_refused(api: httpx.Client, name: str) -> None:
    response = submit(api, injection(class_embeddings={"kind": "names", "encoder": name}))

    document = problem(response, 422, "invalid_request")
    assert pointers(document) == ["/class_embeddings/encoder"]
    assert repr(name)[:40] in document["detail"]


def test_an_encoder_nobody_announced_should_be_refused_once_workers_are_online(
    api: httpx.Client, ledger: Ledger
) -> None:
    request = injection(class_embeddings={"encoder": "clip"})
    assert submit(api, request).status_code == 202
    encoders = {"minilm": EncoderPresence(dimension=384, digest="d")}

    ledger.announce(Presence(name="w", device="cpu", encoders=encoders))

    document = problem(submit(api, request), 422, "invalid_request")
    assert pointers(document) == ["/class_embeddings/encoder"]
    assert "'clip'" in document["detail"]
    assert "minilm" in document["detail"]
    assert submit(api).status_code == 202


def test_a_bad_setting_should_be_told_with_the_legal_choices(api: httpx.Client) -> None:
    bounds = problem(submit(api, injection(settings={"gamma": -1})), 422, "invalid_request")
    names = problem(submit(api, injection(settings={"gama": 1})), 422, "invalid_request")
    method = problem(submit(api, injection(method="wizard")), 422, "invalid_request")

    assert "-1" in bounds["detail"]
    assert "more than 0 and at most 100" in bounds["detail"]
    assert "gamma" in names["detail"]
    assert "'wizard'" in method["detail"]
    assert "ridge" in method["detail"]


def test_every_defect_should_be_told_at_once(api: httpx.Client) -> None:
    request = injection(add=["x", "x", "class 0"], method="wizard")

    document = problem(submit(api, request), 422, "invalid_request")

    assert pointers(document) == ["/add/1/name", "/add/2/name", "/method"]


def joint_methods(api: httpx.Client) -> list[str]:
    """Return the methods that use the class embeddings themselves as rows."""
    methods = api.get("/v1/methods").json()["data"]
    return [method["name"] for method in methods if "joint_embeddings" in method["needs"]]


def test_joint_embeddings_of_another_size_than_the_rows_should_be_refused(
    api: httpx.Client,
) -> None:
    methods = joint_methods(api)
    assert methods, "no installed method needs joint embeddings"
    for method in methods:
        fits = injection(method=method, class_embeddings=vectors(size=FEATURES))
        narrow = injection(method=method, class_embeddings=vectors(size=FEATURES - 1))

        assert submit(api, fits).status_code == 202
        document = problem(submit(api, narrow), 422, "invalid_request")
        assert pointers(document) == ["/class_embeddings"]


def test_prompts_without_an_encoder_that_reads_them_should_be_refused(
    api: httpx.Client, ledger: Ledger
) -> None:
    methods = api.get("/v1/methods").json()["data"]
    prompting = [method["name"] for method in methods if "text_tower" in method["needs"]]
    minilm = EncoderPresence(dimension=384, digest="d", kind="sentence-transformers")
    ledger.announce(Presence(name="w", device="cpu", encoders={"minilm": minilm}))

    assert prompting, "no installed method writes prompts"
    for method in prompting:
        given = injection(method=method, class_embeddings=vectors(size=FEATURES))
        named = injection(method=method, class_embeddings={"encoder": "minilm"})
        without = problem(submit(api, given), 422, "invalid_request")
        other = problem(submit(api, named), 422, "invalid_request")
        assert pointers(without) == ["/class_embeddings"]
        assert pointers(other) == ["/class_embeddings/encoder"]


def test_a_head_that_cannot_be_told_from_another_should_be_refused(api: httpx.Client) -> None:
    twins = {
        "left.weight": ("F32", (SEEN, 4), numbers((SEEN, 4))),
        "right.weight": ("F32", (SEEN, 4), numbers((SEEN, 4))),
    }

    document = problem(submit(api, file=checkpoint(twins)), 422, "invalid_checkpoint")
    named = submit(api, injection(head={"weight": "right.weight"}), checkpoint(twins))

    assert pointers(document) == [""]
    assert "left.weight" in document["detail"]
    assert "right.weight" in document["detail"]
    assert named.status_code == 202
    assert named.json()["head"]["weight"] == "right.weight"


@pytest.mark.parametrize("file_first", [False, True], ids=["request first", "file first"])
def test_a_wrong_number_of_class_names_should_be_refused(
    api: httpx.Client, kept: Path, file_first: bool
) -> None:
    request = injection(class_names=class_names(SEEN - 1))

    response = submit(api, request, file_first=file_first)

    document = problem(response, 422, "invalid_checkpoint")
    assert str(SEEN - 1) in document["detail"]
    assert stored(kept) == []


@pytest.mark.parametrize("text", ["not JSON", "{}", '["one"]', '["a", 3]', '["a", ""]'])
def test_unreadable_class_names_in_the_file_should_be_refused(api: httpx.Client, text: str) -> None:
    file = checkpoint(metadata={"class_names": text})

    document = problem(submit(api, injection(class_names=None), file), 422, "invalid_checkpoint")

    assert "class_names" in document["detail"]


def test_class_names_that_are_nowhere_should_be_asked_for(api: httpx.Client) -> None:
    document = problem(submit(api, injection(class_names=None)), 422, "invalid_request")

    assert pointers(document) == ["/class_names"]


@pytest.mark.parametrize("raw", [b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 10_000])
def test_a_request_that_is_no_object_should_be_refused(api: httpx.Client, raw: bytes) -> None:
    document = problem(submit(api, raw), 422, "invalid_request")

    assert pointers(document) == [""]
    assert json.dumps(document)

"""A request as data: what is refused before anything is queued, and where it points."""

from typing import Any

import pytest
from pydantic import ValidationError

from headgraft.service.schemas.requests import InjectionRequest
from headgraft.workers.jobs.request import NameEmbeddings


def request(**fields: Any) -> InjectionRequest:
    return InjectionRequest.model_validate({"add": ["fox"], **fields})


def test_a_class_should_be_a_bare_name_or_a_name_with_a_description() -> None:
    asked = request(add=["fox", {"name": "owl", "description": "a bird of the night"}])
    assert [entry.description for entry in asked.add] == [None, "a bird of the night"]


def test_an_embedding_without_a_kind_should_be_of_names() -> None:
    embeddings = request(class_embeddings={"encoder": "clip"}).class_embeddings
    assert embeddings == NameEmbeddings(encoder="clip")


@pytest.mark.parametrize("encoder", ["local-dir:/etc", "hf-hub:x/y", "../x", "/etc", "", "a.b"])
def test_an_encoder_that_is_not_a_short_name_should_be_refused(encoder: str) -> None:
    with pytest.raises(ValidationError, match="encoder"):
        request(class_embeddings={"encoder": encoder})


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"add": []}, "add"),
        ({"add": [""]}, "name"),
        ({"colour": "red"}, "colour"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"class_embeddings": {"templates": ["no slot"]}}, "templates"),
        ({"class_embeddings": {"kind": "pictures"}}, "class_embeddings"),
        ({"head": {"scale": -1}}, "scale"),
        ({"class_names": []}, "class_names"),
    ],
)
def test_a_field_that_makes_no_sense_should_be_refused(fields: Any, where: str) -> None:
    with pytest.raises(ValidationError, match=where):
        request(**fields)

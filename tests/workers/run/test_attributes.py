"""What a job's attributes mean: vectors as they came, or names as an encoder reads them."""

from typing import Any

import torch

from headgraft.models.embeddings import encoders
from headgraft.workers.jobs.request import VectorEmbeddings
from headgraft.workers.run.attributes import attributes_of
from tests import region_features


def nobody(_name: str) -> encoders.TextEncoder:
    raise AssertionError("no encoder is needed")


def given(**fields: Any) -> VectorEmbeddings:
    return VectorEmbeddings.model_validate(region_features.attributes(**fields))


def test_vectors_should_go_before_names_which_are_kept() -> None:
    sent = given()

    found = attributes_of(sent, nobody, None)

    assert found is not None
    assert torch.equal(found.vectors_AV, torch.tensor(sent.attribute_vectors))
    assert found.names is not None
    assert found.names[0] == "trait 0"


def test_names_should_be_read_as_they_stand() -> None:
    class Encoder:
        info = encoders.EncoderInfo("words", "sentence-transformers", 3, "0" * 64)

        def encode(self, texts: list[str]) -> torch.Tensor:
            self.read = texts
            return torch.eye(len(texts), 3) + 1

    encoder = Encoder()
    names = ["striped", "long bill"]
    sent = given(attribute_names=names, attribute_vectors=None, attribute_encoder="words")
    asked: list[str] = []

    def get(name: str) -> Any:
        asked.append(name)
        return encoder

    found = attributes_of(sent, get, None)

    assert found is not None
    assert encoder.read == names
    assert asked == ["words"]
    assert found.vectors_AV.shape == (2, 3)


def test_without_either_there_should_be_no_attributes() -> None:
    assert attributes_of(given(attribute_names=None, attribute_vectors=None), nobody, None) is None


def test_only_names_without_vectors_should_be_read_by_an_encoder() -> None:
    assert given(attribute_vectors=None, attribute_encoder="words").encoder == "words"
    assert given(attribute_encoder="words").encoder is None
    assert given(attribute_names=None, attribute_vectors=None).encoder is None

"""head_file: rows are found as everywhere, another kind of head says itself what it is."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from headgraft.models.errors import InjectionError
from headgraft.models.heads.semantic import SemanticHead
from headgraft.workers.evaluate import heads
from headgraft.workers.evaluate.heads import AS_STORED, RowOptions
from headgraft.workers.formats.header import HeaderError
from tests import checkpoints
from tests.models.builders import make_head

NAMES = checkpoints.class_names(20)
FEATURES_ND = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def semantic() -> SemanticHead:
    """Return a head of 12 seen and 2 unseen classes."""
    seen = make_head()
    embeddings_CA = torch.randn(14, 3, generator=torch.Generator().manual_seed(2))
    return SemanticHead(seen, embeddings_CA, (*seen.class_names, "x", "y"), 2.0, 0.25)


def test_rows_should_be_found_by_the_number_of_names(tmp_path: Path) -> None:
    path = checkpoints.write(tmp_path / "h.safetensors")

    found = heads.read_rows(path, NAMES, AS_STORED)

    assert (found.tensors.weight, found.tensors.bias) == ("fc.weight", "fc.bias")
    assert found.class_names == tuple(NAMES)
    old = checkpoints.tensors()
    features_ND = torch.eye(16)
    expected_NC = features_ND @ old["fc.weight"].T + old["fc.bias"]
    assert torch.allclose(found.scorer.logits(features_ND), expected_NC)


def test_tensors_that_are_named_should_be_read(tmp_path: Path) -> None:
    two = {"a.weight": torch.eye(20), "b.weight": torch.eye(20) * 2}
    path = checkpoints.write(tmp_path / "h.safetensors", two)

    with pytest.raises(HeaderError, match="2 tensors could be the head"):
        heads.read_rows(path, NAMES, AS_STORED)
    found = heads.read_rows(path, NAMES, RowOptions("b.weight", metric="cosine", scale=3.0))
    assert torch.allclose(found.scorer.logits(torch.eye(20)), torch.eye(20) * 3)


def test_a_head_of_another_kind_should_score_as_it_did(
    semantic: SemanticHead, tmp_path: Path
) -> None:
    save_file(semantic.state_dict(), tmp_path / "h", semantic.metadata())

    metadata = heads.read_metadata(tmp_path / "h")
    found = heads.read_native(tmp_path / "h", metadata)

    assert heads.is_native(metadata)
    assert torch.equal(found.scorer.logits(FEATURES_ND), semantic.logits(FEATURES_ND))
    assert found.class_names == semantic.class_names
    assert (found.tensors.class_count, found.tensors.feature_size) == (12, 6)


@pytest.mark.parametrize("missing", ["temperature", "class_names", "class_embeddings", "weight"])
def test_an_incomplete_head_of_that_kind_should_be_refused(
    semantic: SemanticHead, tmp_path: Path, missing: str
) -> None:
    tensors = {name: one for name, one in semantic.state_dict().items() if name != missing}
    metadata = {name: text for name, text in semantic.metadata().items() if name != missing}
    save_file(tensors, tmp_path / "h", metadata)
    with pytest.raises(InjectionError, match=rf"no complete head of kind 'semantic': .*{missing}"):
        heads.read_native(tmp_path / "h", metadata)


@pytest.mark.parametrize(("key", "text"), [("seen_count", "many"), ("class_names", "[")])
def test_nonsense_in_its_metadata_should_be_refused(
    semantic: SemanticHead, tmp_path: Path, key: str, text: str
) -> None:
    metadata = {**semantic.metadata(), key: text}
    save_file(semantic.state_dict(), tmp_path / "h", metadata)
    with pytest.raises(InjectionError, match="no complete head of kind 'semantic'"):
        heads.read_native(tmp_path / "h", metadata)


def test_embeddings_of_other_classes_should_be_refused(
    semantic: SemanticHead, tmp_path: Path
) -> None:
    tensors = {**semantic.state_dict(), "class_embeddings": torch.ones(3, 2)}
    save_file(tensors, tmp_path / "h", semantic.metadata())
    with pytest.raises(InjectionError, match=r"has shape \(3, 2\); there are 14 classes"):
        heads.read_native(tmp_path / "h", semantic.metadata())


def test_a_file_of_another_kind_should_be_refused(tmp_path: Path) -> None:
    (tmp_path / "h.pt").write_bytes(b"PK\x03\x04 not safetensors")
    with pytest.raises(InjectionError, match=r"h\.pt is not a readable safetensors file"):
        heads.read_metadata(tmp_path / "h.pt")

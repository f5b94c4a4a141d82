"""Encoders: the packaged sentence encoder and an operator's picture-text model, both real."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from headgraft.models.embeddings.encoders import TextEncoder, encode_classes, installed, load
from headgraft.models.errors import InjectionError
from tests.models.conftest import save_local_dir


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return load("minilm", None, "cpu")


@pytest.fixture(scope="module")
def tiny(encoders_folder: Path) -> TextEncoder:
    return load("tiny", encoders_folder, "cpu")


def test_without_a_folder_the_packaged_encoder_should_be_installed() -> None:
    found = installed(None)

    assert set(found) == {"minilm"}
    assert (found["minilm"].kind, found["minilm"].dimension) == ("sentence-transformers", 384)
    assert len(found["minilm"].digest) == 64


def test_only_sub_folders_that_hold_a_model_should_be_installed(encoders_folder: Path) -> None:
    found = installed(encoders_folder)

    assert set(found) == {"minilm", "tiny"}
    assert (found["tiny"].kind, found["tiny"].dimension) == ("open_clip", 16)


def test_a_folder_that_does_not_exist_should_install_nothing(tmp_path: Path) -> None:
    assert set(installed(tmp_path / "nowhere")) == {"minilm"}


def test_other_weights_should_have_another_digest(tmp_path: Path) -> None:
    save_local_dir(tmp_path / "one", seed=1)
    save_local_dir(tmp_path / "same", seed=1)
    save_local_dir(tmp_path / "two", seed=2)

    found = installed(tmp_path)

    assert found["one"].digest == found["same"].digest
    assert found["one"].digest != found["two"].digest


@pytest.mark.parametrize(
    "name",
    ["bert", "", "../tiny", "tiny/", "hf-hub:org/model", "local-dir:tiny", "..", "broken", "empty"],
)
def test_any_other_name_should_be_refused_with_the_legal_ones(
    encoders_folder: Path, name: str
) -> None:
    with pytest.raises(InjectionError, match="minilm, tiny") as caught:
        load(name, encoders_folder, "cpu")

    assert caught.value.code == "unknown_encoder"
    assert caught.value.pointer == "/class_embeddings/encoder"


def test_minilm_should_put_like_meanings_close(minilm: TextEncoder) -> None:
    vectors_NA = minilm.encode(["tabby cat", "kitten", "excavator"])

    assert vectors_NA.shape == (3, 384)
    assert vectors_NA.dtype == torch.float32
    alike = cosine_similarity(vectors_NA[0], vectors_NA[1:])
    assert alike[0] > alike[1] + 0.2


def test_the_picture_text_model_should_encode_with_its_own_weights(
    tiny: TextEncoder, encoders_folder: Path
) -> None:
    import open_clip

    source = f"local-dir:{encoders_folder / 'tiny'}"
    network = open_clip.create_model(source).eval()
    with torch.no_grad():
        expected = network.encode_text(open_clip.get_tokenizer(source)(["a photo of a cat."]))

    torch.testing.assert_close(tiny.encode(["a photo of a cat."]), expected)


def test_a_picture_text_model_should_come_with_a_tower_that_reads_prompts(
    tiny: TextEncoder, minilm: TextEncoder
) -> None:
    tower = tiny.text_tower

    assert minilm.text_tower is None
    assert tower is not None
    vectors_CD = tower.encode(tower.prompts(["cat"]), tower.context())
    torch.testing.assert_close(vectors_CD, normalize(tiny.encode(["a photo of a cat."])))


def test_batches_should_not_change_the_vectors(tiny: TextEncoder) -> None:
    texts = [f"thing {number}" for number in range(5)]

    torch.testing.assert_close(tiny.encode(texts, batch_size=2), tiny.encode(texts))


def test_no_text_should_be_no_vector(tiny: TextEncoder) -> None:
    assert tiny.encode([]).shape == (0, 16)


def test_class_embeddings_should_be_the_mean_over_templates_of_unit_vectors(
    tiny: TextEncoder,
) -> None:
    templates = ["a photo of a {}.", "a {}"]

    embeddings_CA = encode_classes(tiny, ["cat", "dog"], [None, "barks"], templates, None)

    texts = ["a photo of a dog: barks.", "a dog: barks"]
    expected = normalize(tiny.encode(texts)).mean(dim=0)
    torch.testing.assert_close(embeddings_CA[1], expected)


def test_default_templates_should_go_by_the_kind_of_encoder(
    tiny: TextEncoder, minilm: TextEncoder
) -> None:
    bare = encode_classes(minilm, ["cat"], [None], None, None)
    torch.testing.assert_close(bare, normalize(minilm.encode(["cat"])))

    framed = encode_classes(tiny, ["cat"], [None], None, None)
    assert not torch.allclose(framed, normalize(tiny.encode(["cat"])))


def test_the_cache_should_give_the_same_vectors(tiny: TextEncoder, tmp_path: Path) -> None:
    first = encode_classes(tiny, ["cat", "dog"], [None, None], None, tmp_path)
    again = encode_classes(tiny, ["dog", "cat"], [None, None], None, tmp_path)

    assert torch.equal(first, again.flip(0))


def test_encoders_should_not_share_cached_vectors(
    tiny: TextEncoder, minilm: TextEncoder, tmp_path: Path
) -> None:
    encode_classes(tiny, ["cat"], [None], ["{}"], tmp_path)

    assert encode_classes(minilm, ["cat"], [None], ["{}"], tmp_path).shape == (1, 384)

"""pull: what it refuses, and that a failure leaves nothing behind."""

import importlib
import json
from pathlib import Path

import pytest
import torch

from headgraft.models.embeddings.encoders import load
from headgraft.models.embeddings.pull import pull
from headgraft.models.embeddings.torchvision_ops import import_torchvision
from headgraft.models.errors import InjectionError
from tests.models.conftest import TINY, save_local_dir


def test_an_unknown_model_should_be_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InjectionError, match=r"'Nope' is not one of: .*ViT-B-32"):
        pull("Nope:openai", tmp_path)


def test_a_model_without_a_tag_should_be_refused_with_the_tags(tmp_path: Path) -> None:
    with pytest.raises(InjectionError, match=r"has no weights ''; it has: .*openai"):
        pull("ViT-B-32", tmp_path)


def test_a_text_tower_that_needs_the_network_at_every_load_should_be_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(InjectionError, match="cannot serve offline"):
        pull("roberta-ViT-B-32:laion2b_s12b_b32k", tmp_path)


def test_a_failed_download_should_say_so_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A closed port refuses at once, with or without a network.
    know(tmp_path, monkeypatch, {"url": "http://127.0.0.1:9/weights.pt"})
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    with pytest.raises(InjectionError, match="this command needs the network"):
        pull("Tiny-Test:some", tmp_path / "installed")

    assert list((tmp_path / "installed").iterdir()) == []


@pytest.mark.parametrize("quick_gelu", [False, True])
def test_a_pulled_model_should_load_offline_and_encode_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, quick_gelu: bool
) -> None:
    # The tag points at weights on disk, as some of open_clip's own do; all else is the real path.
    save_local_dir(tmp_path / "source")
    weights = str(tmp_path / "source" / "open_clip_model.safetensors")
    know(tmp_path, monkeypatch, {"file": weights, "quick_gelu": quick_gelu})
    open_clip = importlib.import_module("open_clip")

    info = pull("Tiny-Test:some", tmp_path / "installed")

    assert (info.name, info.dimension) == ("tiny-test-some", 16)
    pulled = load(info.name, tmp_path / "installed", "cpu").encode(["a cat"])
    network = open_clip.create_model(
        "Tiny-Test", pretrained="some", force_quick_gelu=quick_gelu
    ).eval()
    with torch.no_grad():
        expected = network.encode_text(open_clip.get_tokenizer("Tiny-Test")(["a cat"]))
    torch.testing.assert_close(pulled, expected)
    assert [path.name for path in (tmp_path / "installed").iterdir()] == ["tiny-test-some"]


def test_a_short_name_in_use_should_be_refused_before_any_download(encoders_folder: Path) -> None:
    for name in ("tiny", "minilm", "../up", "Upper"):
        with pytest.raises(InjectionError, match="short name") as caught:
            pull("ViT-B-32:openai", encoders_folder, name)
        assert repr(name) in str(caught.value)


def know(folder: Path, monkeypatch: pytest.MonkeyPatch, tag: dict[str, object]) -> None:
    """Tell open_clip of a model Tiny-Test with one tag, `some`."""
    import_torchvision()
    config = folder / "Tiny-Test.json"
    config.write_text(json.dumps(TINY))
    importlib.import_module("open_clip").add_model_config(config)
    registry = importlib.import_module("open_clip.pretrained")._PRETRAINED
    monkeypatch.setitem(registry, "Tiny-Test", {"some": tag})

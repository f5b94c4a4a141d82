"""pull: what it refuses, and that a failure leaves nothing behind."""

from pathlib import Path

import pytest

from models.encoders import pull
from models.errors import InjectionError


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
    # A proxy on a closed port: the download fails at once, with or without a network.
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    with pytest.raises(InjectionError, match="this command needs the network") as caught:
        pull("RN50:yfcc15m", tmp_path)

    assert caught.value.code == "download_failed"
    assert list(tmp_path.iterdir()) == []

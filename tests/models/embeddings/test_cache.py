"""The cache of encoded texts: hits, misses, damage."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from headgraft.models.embeddings.cache import cached


class Counting:
    """A real, if simple, encoder that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> Tensor:
        self.asked += texts
        return torch.tensor([[float(len(text)), 1.0] for text in texts])


def look_up(encode: Counting, texts: list[str], folder: Path | None, digest: str = "d") -> Tensor:
    return cached(encode, texts, digest=digest, size=2, folder=folder)


def test_a_text_should_be_encoded_once(tmp_path: Path) -> None:
    encode = Counting()

    first = look_up(encode, ["cat", "horse", "cat"], tmp_path)
    second = look_up(encode, ["horse", "ox"], tmp_path)

    assert encode.asked == ["cat", "horse", "ox"]
    assert first.tolist() == [[3, 1], [5, 1], [3, 1]]
    assert second.tolist() == [[5, 1], [2, 1]]


def test_another_encoder_should_not_see_it(tmp_path: Path) -> None:
    encode = Counting()

    look_up(encode, ["cat"], tmp_path, digest="one")
    look_up(encode, ["cat"], tmp_path, digest="two")

    assert encode.asked == ["cat", "cat"]


def test_without_a_folder_nothing_should_be_kept() -> None:
    encode = Counting()

    look_up(encode, ["cat"], None)
    look_up(encode, ["cat"], None)

    assert encode.asked == ["cat", "cat"]


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\xff" * 200, "truncate"])
def test_a_damaged_entry_should_be_made_anew(tmp_path: Path, damage: bytes | str) -> None:
    encode = Counting()
    look_up(encode, ["cat"], tmp_path)
    entry = next(tmp_path.rglob("*.safetensors"))
    entry.write_bytes(entry.read_bytes()[:-3] if isinstance(damage, str) else damage)

    again = look_up(encode, ["cat"], tmp_path)

    assert again.tolist() == [[3, 1]]
    assert encode.asked == ["cat", "cat"]
    look_up(encode, ["cat"], tmp_path)
    assert len(encode.asked) == 2


def test_an_entry_of_another_size_should_be_made_anew(tmp_path: Path) -> None:
    cached(lambda _texts: torch.ones(1, 3), ["cat"], digest="d", size=3, folder=tmp_path)

    assert look_up(Counting(), ["cat"], tmp_path).tolist() == [[3, 1]]


def test_no_half_written_file_should_stay(tmp_path: Path) -> None:
    look_up(Counting(), ["cat", "../../etc/passwd", "\ud800"], tmp_path)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3
    assert {path.suffix for path in files} == {".safetensors"}

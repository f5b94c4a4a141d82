"""What a file is, by its first bytes; a checkpoint is nothing else."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from headgraft.workers.formats.foreign import START_BYTES, foreign_kind


def zipped(name: str) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as file:
        file.writestr(name, "{}")
    return raw.getvalue()


@pytest.mark.parametrize(
    ("start", "word"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x93NUMPY\x01\x00", "NumPy array"),
        (b"GGUF\x03\x00\x00\x00", "GGUF"),
        (b"\x1f\x8b\x08" + bytes(50), "gzip"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(50), "TensorFlow Lite"),
        (b"\x08\x08\x12\x07pytorch" + bytes(50), "ONNX"),
        (b"\x08\x0a\x12\x04onnx" + bytes(50), "ONNX"),
        (b"\n<!DOCTYPE html><html>", "HTML"),
        (b'{"metadata": {}, "weight_map": {}}', "shards"),
        (b'{"id2label": {}}', "JSON"),
        (bytes(257) + b"ustar\x00", "tar archive"),
        (zipped("metadata.json"), "Keras"),
        (zipped("fc/weight.npy"), "NumPy archive"),
        (zipped("net/data/weights/weight_0"), "torch.export"),
        (zipped("MAR-INF/MANIFEST.json"), "TorchServe"),
        (zipped("holiday.txt"), "'holiday.txt' in it"),
    ],
)
def test_a_file_of_another_kind_should_be_named(start: bytes, word: str) -> None:
    kind = foreign_kind(start[:START_BYTES])
    assert kind
    assert word in kind


def test_a_checkpoint_should_be_no_other_kind(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    assert foreign_kind(path.read_bytes()[:START_BYTES]) is None
    # Lengths of headers that begin with the bytes of gzip, of a pickle, of JPEG.
    for length in (0x088B1F, 0x0280, 0x7FD8FF):
        header = length.to_bytes(8, "little") + b'{"fc.weight"'
        assert foreign_kind(header) is None
    assert foreign_kind(save({"a": torch.zeros(1)})[:START_BYTES]) is None
    assert foreign_kind(b"") is None
    assert foreign_kind(np.zeros(100).tobytes()) is None

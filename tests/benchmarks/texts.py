"""Encodes ImageNet's class texts for a measurement; it does not know which method reads them."""

from pathlib import Path

from torch import Tensor

from headgraft.models.embeddings.encoders import encode_classes, load
from tests.benchmarks.data import read_class_names, read_descriptions


def encode_texts(folder: Path, encoder: str, texts: str) -> Tensor:
    """Encode one text a class with an installed encoder: names, gloss or kinds."""
    names = read_class_names(folder) if texts == "names" else read_descriptions(folder, texts)
    return encode_classes(load(encoder, None, "cpu"), names, [None] * len(names), None, None)

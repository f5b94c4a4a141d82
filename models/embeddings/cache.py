"""Keeps encoded texts on disk, one file a text."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

KEY = "embedding"

Encode = Callable[[Sequence[str]], Tensor]


def cached(
    encode: Encode, texts: Sequence[str], *, digest: str, size: int, folder: Path | None
) -> Tensor:
    """Encode texts to (N, size), reading what `folder` holds for this encoder's digest.

    Each distinct text is encoded once; an unreadable or ill-fitting entry is made anew. Entries
    appear whole or not at all, so that processes can share the folder.
    """
    paths = {text: _path(folder, digest, text) for text in texts}
    known = {text: _read(path, size) for text, path in paths.items()}
    missing = [text for text, vector in known.items() if vector is None]
    if missing:
        for text, vector_A in zip(missing, encode(missing), strict=True):
            known[text] = vector_A
            _write(paths[text], vector_A)
    return torch.stack([vector for text in texts if (vector := known[text]) is not None])


def _path(folder: Path | None, digest: str, text: str) -> Path | None:
    if folder is None:
        return None
    key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return folder / digest[:32] / key[:2] / f"{key}.safetensors"


def _read(path: Path | None, size: int) -> Tensor | None:
    if path is None:
        return None
    try:
        vector_A = load(path.read_bytes())[KEY]
    except (OSError, SafetensorError, KeyError):
        return None
    fits = vector_A.shape == (size,) and vector_A.dtype == torch.float32
    return vector_A if fits and bool(torch.isfinite(vector_A).all()) else None


def _write(path: Path | None, vector_A: Tensor) -> None:
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as writer:
            writer.write(save({KEY: vector_A.contiguous()}))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise

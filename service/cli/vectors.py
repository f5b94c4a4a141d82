"""Reads the vectors or attributes of classes from a file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from headgraft.service.cli.parsing import TypedError

PARTS = ("seen", "unseen")
NAMES = "attribute_names"
LEGAL = "legal are .npz, .safetensors and .json with `seen` and `unseen`, a row a class"


def embeddings(
    encoder: str | None, vectors: Path | None, attributes: Path | None
) -> dict[str, Any] | None:
    """Return the class embeddings of a request; TypedError where two ways are given at once."""
    given = {"--encoder": encoder, "--class-embeddings": vectors, "--attributes": attributes}
    named = [option for option, value in given.items() if value is not None]
    if len(named) > 1:
        raise TypedError(f"{' and '.join(named)}: give one of them")
    if vectors:
        return {"kind": "embeddings", **_read(vectors)}
    if attributes:
        return {"kind": "attributes", **_read(attributes)}
    return {"kind": "names", "encoder": encoder} if encoder else None


def _read(path: Path) -> dict[str, Any]:
    """Read the rows of both parts; TypedError names what is missing or is no table of numbers."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".json":
            held = json.loads(path.read_text(encoding="utf-8"))
        elif suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                held = {name: file[name].tolist() for name in file.files}
        elif suffix == ".safetensors":
            held = {name: array.tolist() for name, array in load_file(path).items()}
        else:
            raise TypedError(f"{path} has the suffix {path.suffix!r}; {LEGAL}")
    except (ValueError, SafetensorError) as error:
        raise TypedError(f"{path} cannot be read as {suffix.removeprefix('.')}; {LEGAL}") from error
    missing = [part for part in PARTS if not isinstance(held, dict) or part not in held]
    if missing:
        there = ", ".join(map(repr, held)) if isinstance(held, dict) else "a list"
        raise TypedError(f"{path} has no {missing[0]!r}; it has: {there or 'nothing'}; {LEGAL}")
    for part in PARTS:
        rows = held[part]
        if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            raise TypedError(f"{path}: {part!r} is no table of numbers, a row a class")
    return {name: held[name] for name in (*PARTS, NAMES) if name in held}

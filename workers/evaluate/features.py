"""Reads labelled features from a safetensors or npz file, and lists of class names."""

import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import NamedFeatures
from headgraft.workers.jobs.spec import UNLABELLED

FEATURES, LABELS, CLASS_NAMES = "features", "labels", "class_names"
# RuntimeError: an encrypted or unknown kind of zip entry; MemoryError: a shape that cannot be.
UNREADABLE = (ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)
# What labels count, where a file of features says so: one name per class.
Names = tuple[str, ...] | None


def read(path: Path, class_names: Names = None) -> NamedFeatures:
    """Read `features` (N, D) and `labels` (N,); the file's `class_names` give way to those given.

    They are a JSON list in the metadata of a safetensors file, an array of text in an npz one.
    InjectionError for a file, an array or a value that does not fit, naming what does.
    """
    if path.suffix not in READERS:
        legal = ", ".join([*READERS, ".mat"])
        raise InjectionError(f"{path} has the suffix {path.suffix!r}; legal are {legal}")
    features_ND, labels_N, stored = READERS[path.suffix](path)
    unlabelled = int((labels_N.double() == UNLABELLED).sum())
    if unlabelled:
        raise InjectionError(
            f"{path}: {unlabelled} of the {labels_N.numel()} pictures have no label "
            f"({UNLABELLED}); a head is scored on labelled pictures alone: leave the others out"
        )
    try:
        # One copy in float32 whatever it was stored in: the head's logits are no narrower.
        labelled = NamedFeatures(features_ND, labels_N, class_names or stored)
    except InjectionError as error:
        raise InjectionError(f"{path}: {error}") from error
    return NamedFeatures(labelled.features_NF.float(), labelled.labels_N, labelled.class_names)


def read_names(path: Path) -> tuple[str, ...]:
    """Read one class a line, a description behind the first ": " left out; InjectionError if none.

    These are the lists that `headgraft inject` reads too.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InjectionError(f"{path} is no UTF-8 text: {error}") from error
    names = tuple(line.partition(": ")[0].strip() for line in lines if line.strip())
    if not names or not all(names):
        raise InjectionError(f"{path} must list one class a line, NAME or 'NAME: description'")
    return names


def names_in(metadata: dict[str, str], path: Path) -> Names:
    """Return the `class_names` of a safetensors file's metadata, None where there are none.

    InjectionError for anything but a JSON list of texts.
    """
    try:
        names = json.loads(metadata.get(CLASS_NAMES, "null"))
    except ValueError:
        names = 0
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InjectionError(f"{path}: class_names in the metadata must be a JSON list of texts")
    return tuple(names)


def _read_safetensors(path: Path) -> tuple[Tensor, Tensor, Names]:
    try:
        with safe_open(path, framework="pt") as file:
            _check_arrays(path, file.keys())
            names = names_in(file.metadata() or {}, path)
            return file.get_tensor(FEATURES), file.get_tensor(LABELS), names
    except SafetensorError as error:
        raise InjectionError(f"{path} is not a readable safetensors file: {error}") from error


def _read_npz(path: Path) -> tuple[Tensor, Tensor, Names]:
    with path.open("rb") as opened:
        try:
            file = np.load(opened, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise InjectionError(f"{path} holds a single array, not several by name")
            _check_arrays(path, file.files)
            names = file[CLASS_NAMES] if CLASS_NAMES in file.files else None
            features_ND, labels_N = _tensor(file, FEATURES), _tensor(file, LABELS)
        except InjectionError:
            raise
        except UNREADABLE as error:
            raise InjectionError(f"{path} is not a readable npz file: {error}") from error
    return features_ND, labels_N, None if names is None else tuple(map(str, np.ravel(names)))


def _tensor(file: Any, name: str) -> Tensor:
    array = file[name]
    try:
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    except TypeError:
        raise InjectionError(f"array {name!r} holds {array.dtype}, not numbers") from None


def _check_arrays(path: Path, held: Any) -> None:
    missing = [name for name in (FEATURES, LABELS) if name not in held]
    if missing == [LABELS]:
        raise InjectionError(
            f"{path} holds features without {LABELS!r}: a head is scored on labelled pictures alone"
        )
    if missing:
        raise InjectionError(
            f"{path} has no array {missing[0]!r}; it has: "
            f"{', '.join(map(repr, sorted(held))) or 'none'}"
        )


READERS: dict[str, Callable[[Path], tuple[Tensor, Tensor, Names]]] = {
    ".safetensors": _read_safetensors,
    ".npz": _read_npz,
}

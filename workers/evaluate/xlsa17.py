"""Reads the two MATLAB files of the xlsa17 benchmark.

res101.mat holds features and labels of every picture, att_splits.mat the class names, the
attributes and which picture is for what. Both count from 1; everything returned counts from 0.
Only for one's own files: the reader underneath can crash the process on a damaged one.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import NamedFeatures

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]
SPLITS_FILE = "att_splits.mat"
# What the reader lets through from its own parsing, wherever a file is cut off.
PARSING = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
UNREADABLE = (*PARSING, MatReadError, OSError, EOFError, MemoryError, zlib.error)


@dataclass(frozen=True, eq=False)
class Splits:
    """Class names in the order of the labels, and the numbers of the pictures of each split."""

    class_names: tuple[str, ...]
    trainval: Tensor
    test_seen: Tensor
    test_unseen: Tensor

    def unseen_names(self, pictures: NamedFeatures) -> tuple[str, ...]:
        """Name the classes of `test_unseen`, in the order of the labels."""
        unseen = sorted(set(pictures.labels_N[self.test_unseen].tolist()))
        return tuple(self.class_names[label] for label in unseen)


def read_pictures(path: Path, splits: Splits) -> NamedFeatures:
    """Read every picture of res101.mat, features as float32.

    InjectionError for a file, an array, a label or a split that does not fit, naming what does.
    """
    arrays = _load(path, ("features", "labels"))
    features_DN = arrays["features"]
    if features_DN.dtype.kind != "f":
        raise InjectionError(f"{path}: the features are {features_DN.dtype}; they must be floats")
    features_ND = np.ascontiguousarray(features_DN.T, dtype=np.float32)
    labels_N = _counted(path, "labels", arrays["labels"], len(splits.class_names), "classes")
    labelled = NamedFeatures(torch.from_numpy(features_ND), labels_N, splits.class_names)
    for name, numbers in _parts(splits).items():
        _check_numbers(path, name, numbers, len(labels_N))
    _check_sides(labelled, splits)
    return labelled


def read_splits(path: Path) -> Splits:
    """Read class names and splits of att_splits.mat; InjectionError as for `read_pictures`."""
    names = ("trainval_loc", "test_seen_loc", "test_unseen_loc")
    arrays = _load(path, ("allclasses_names", *names))
    trainval, test_seen, test_unseen = (
        _counted(path, name, arrays[name], None, "pictures") for name in names
    )
    return Splits(_texts(path, arrays["allclasses_names"]), trainval, test_seen, test_unseen)


def _load(path: Path, names: tuple[str, ...]) -> dict[str, Array]:
    with path.open("rb") as file:
        try:
            held = [name for name, *_ in whosmat(file)]
            missing = [name for name in names if name not in held]
            file.seek(0)
            arrays: dict[str, Array] = {} if missing else loadmat(file, variable_names=names)
        except NotImplementedError:
            raise InjectionError(
                f"{path} is a MATLAB 7.3 file (HDF5), which is not read here: "
                "save it again with save(..., '-v7')"
            ) from None
        except UNREADABLE as error:
            raise InjectionError(f"{path} cannot be read as a MATLAB file: {error}") from error
    if missing:
        raise InjectionError(
            f"{path} has no array {missing[0]!r}; it has: {', '.join(sorted(held)) or 'none'}"
        )
    for name in names:
        if not isinstance(arrays[name], np.ndarray):
            raise InjectionError(f"{path}: {name} is a sparse matrix; save full({name}) instead")
    return arrays


def _counted(path: Path, name: str, array: Any, most: int | None, what: str) -> Tensor:
    """Return numbers that count from 1, in whatever type MATLAB keeps them, counting from 0."""
    flat = np.ravel(array)
    if flat.dtype.kind not in "iuf" or not np.array_equal(flat, np.floor(flat)):
        raise InjectionError(f"{path}: {name} must hold whole numbers; they are {flat.dtype}")
    bad = flat[(flat < 1) | (flat > (np.inf if most is None else most))]
    if len(bad):
        legal = "at least 1" if most is None else f"1 to {most}, as there are {most} {what}"
        raise InjectionError(f"{path}: {name} holds {bad[0]:g}; legal is {legal}")
    return torch.from_numpy(flat.astype(np.int64) - 1)


def _texts(path: Path, cells: Any) -> tuple[str, ...]:
    texts = [np.ravel(cell) for cell in np.ravel(cells)]
    if not all(text.dtype.kind == "U" and text.size == 1 for text in texts):
        raise InjectionError(f"{path}: allclasses_names must hold one name per class")
    return tuple(str(text[0]) for text in texts)


def _parts(splits: Splits) -> dict[str, Tensor]:
    return {
        "trainval_loc": splits.trainval,
        "test_seen_loc": splits.test_seen,
        "test_unseen_loc": splits.test_unseen,
    }


def _check_numbers(path: Path, name: str, numbers: Tensor, pictures: int) -> None:
    if not len(numbers) or int(numbers.max()) >= pictures:
        held = f"holds {int(numbers.max()) + 1}" if len(numbers) else "is empty"
        raise InjectionError(
            f"{name} {held}; {path.name} has {pictures} pictures, so legal is 1 to {pictures}"
        )


def _check_sides(labelled: NamedFeatures, splits: Splits) -> None:
    """Refuse a class whose pictures are both in a seen and in the unseen split."""
    unseen = labelled.labels_N[splits.test_unseen]
    for name, numbers in (("trainval_loc", splits.trainval), ("test_seen_loc", splits.test_seen)):
        both = labelled.labels_N[numbers]
        both = both[torch.isin(both, unseen)]
        if len(both):
            raise InjectionError(
                f"class {splits.class_names[int(both[0])]!r} has pictures in {name} and in "
                "test_unseen_loc; an unseen class can have none in the others"
            )

"""Region features in a safetensors file, which is mapped and read picture by picture."""

import mmap
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import INVALID, POINTER
from headgraft.models.features.regions import grid_of
from headgraft.workers.formats.header import HeaderError, TensorEntry
from headgraft.workers.formats.safetensors import read_header

# By dtype of a safetensors header.
Numbers = np.dtype[np.generic]
FLOATS: dict[str, Numbers] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
INTEGERS: dict[str, Numbers] = {
    f"{kind}{8 * size}": np.dtype(f"<{kind.lower()}{size}")
    for kind in "IU"
    for size in (1, 2, 4, 8)
}
# Pages that were read count as the process's memory until they are given back.
TOUCHED_BYTES_MAX = 64 * 1024**2


class RegionFile:
    """`features` (N, D, R) or (N, D, H, W), float16 or float32, and `labels` (N,) of a file."""

    def __init__(self, path: Path) -> None:
        """Map the file; InjectionError (`invalid_features`) where it holds something else."""
        try:
            self._open(path)
        except InjectionError:
            raise
        except (HeaderError, OSError, KeyError, ValueError) as error:
            problem = f"the features cannot be read: {error!r}"
            raise InjectionError(problem, code=INVALID, pointer=POINTER) from error
        if self._features.ndim not in (3, 4):
            raise InjectionError(
                f"the features have shape {self._features.shape}; with regions they are "
                "(pictures, numbers, regions) or (pictures, numbers, height, width)",
                code=INVALID,
                pointer=POINTER,
            )

    def _open(self, path: Path) -> None:
        with path.open("rb") as file:
            header, start = read_header(file)
            self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._touched = 0
        if "labels" not in header.tensors:
            problem = "a method that looks at regions needs a label for every picture; none has one"
            raise InjectionError(problem, code=INVALID, pointer=POINTER)
        features, labels = header.tensors["features"], header.tensors["labels"]
        self._features = self._array(features, FLOATS[features.dtype], start)
        stored_N = self._array(labels, INTEGERS[labels.dtype], start)
        self.labels_N = torch.from_numpy(stored_N.astype(np.int64))

    def _array(
        self, entry: TensorEntry, dtype: Numbers, start: int
    ) -> np.ndarray[tuple[int, ...], Numbers]:
        return np.ndarray(entry.shape, dtype, self._mapped, start + entry.start)

    @property
    def feature_size(self) -> int:
        """D."""
        return self._features.shape[1]

    @property
    def grid(self) -> tuple[int, int]:
        """(height, width) as the file has them; else a square if R is one."""
        regions = self._features.shape[2:]
        return grid_of(regions[0]) if len(regions) == 1 else (regions[0], regions[1])

    def take(self, numbers_B: Tensor) -> Tensor:
        """Return the features (B, D, R) of pictures by number: float32, on the CPU.

        InjectionError where one holds NaN or infinity.
        """
        taken = self._features[numbers_B.numpy()]
        self._touched += taken.nbytes
        if self._touched > TOUCHED_BYTES_MAX:
            self._give_back()
        features_BDR = torch.from_numpy(taken.astype(np.float32)).flatten(2)
        bad_B = ~torch.isfinite(features_BDR).flatten(1).all(dim=1)
        if bad_B.any():
            number = int(numbers_B[int(bad_B.nonzero()[0])])
            problem = f"the features of picture {number} hold NaN or infinity"
            raise InjectionError(problem, code=INVALID, pointer=POINTER)
        return features_BDR

    def _give_back(self) -> None:
        """Let the pages go: they are the file's, and are read again where they are needed."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)
        self._touched = 0

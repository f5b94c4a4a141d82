"""Reads the labels of a file of features while its bytes go by; it keeps a count per class."""

import numpy as np

from workers.header import HeaderError, TensorEntry

LABEL_DTYPES = {
    **{f"I{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
}
# As many classes as a head may have.
CLASSES_MAX = 200_000


class LabelScan:
    """Feed it the data section in order; `counts_C` holds the pictures of each class."""

    def __init__(self, entry: TensorEntry) -> None:
        self._entry = entry
        self._dtype = LABEL_DTYPES[entry.dtype]
        self._at = 0
        self._carry = b""
        self._seen = 0
        self.counts_C = np.zeros(CLASSES_MAX, np.int64)

    def feed(self, data: bytes) -> None:
        """Take the next bytes behind the header; HeaderError at a label that no class can have."""
        start = max(self._entry.start - self._at, 0)
        end = max(self._entry.end - self._at, 0)
        self._at += len(data)
        buffer = self._carry + data[start:end]
        count = len(buffer) // self._dtype.itemsize
        labels_N = np.frombuffer(buffer, self._dtype, count)
        self._carry = buffer[count * self._dtype.itemsize :]
        # Most chunks of a file hold no label, and a count of all classes has its price.
        if count:
            self._count(labels_N)
        self._seen += count

    def _count(self, labels_N: "np.ndarray[tuple[int], np.dtype[np.integer]]") -> None:
        bad_N = (labels_N < 0) | (labels_N >= CLASSES_MAX)
        if bad_N.any():
            place = int(bad_N.argmax())
            raise HeaderError(
                f"label {self._seen + place} is {labels_N[place]}; labels count a head's classes "
                f"from 0, in row order, and a head has at most {CLASSES_MAX}"
            )
        self.counts_C += np.bincount(labels_N.astype(np.int64), minlength=CLASSES_MAX)

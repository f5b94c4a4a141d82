"""Looks for NaN and infinity in tensors of a file while its bytes go by.

It knows dtypes by their exponent bits only; it keeps at most one element between chunks.
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import prod

import numpy as np

from headgraft.workers.formats.header import Header, TensorEntry
from headgraft.workers.formats.stored_layers import HEAD_DTYPES


@dataclass(frozen=True)
class _Format:
    word: np.dtype[np.unsignedinteger]
    exponent: int


FORMATS = {
    "F16": _Format(np.dtype("<u2"), 0x7C00),
    "BF16": _Format(np.dtype("<u2"), 0x7F80),
    "F32": _Format(np.dtype("<u4"), 0x7F80_0000),
    "F64": _Format(np.dtype("<u8"), 0x7FF0_0000_0000_0000),
}


def could_be_head(entry: TensorEntry) -> bool:
    """Tell whether a tensor has the dtype and the axes of a head's weight or bias."""
    axes = [size for size in entry.shape if size != 1]
    return entry.dtype in HEAD_DTYPES and len(axes) <= 2


class FinitenessScan:
    """Feed it the data section in order; `bad` maps a tensor to its first bad row."""

    def __init__(self, header: Header, names: Collection[str] | None) -> None:
        entries = (entry for entry in header.tensors.values() if entry.end > entry.start)
        wanted = (e for e in entries if (could_be_head(e) if names is None else e.name in names))
        self._ahead = sorted(wanted, key=lambda entry: entry.start, reverse=True)
        self._at = 0
        self._carry = b""
        self.bad: dict[str, int] = {}

    def feed(self, data: bytes) -> None:
        """Scan the next bytes behind the header."""
        view = memoryview(data)
        while self._ahead and self._ahead[-1].start < self._at + len(view):
            entry = self._ahead[-1]
            skip = max(0, entry.start - self._at)
            take = view[skip : entry.end - self._at]
            self._scan(entry, take, self._at + skip - entry.start)
            self._at += skip + len(take)
            view = view[skip + len(take) :]
            if self._at < entry.end:
                return
            self._ahead.pop()
        self._at += len(view)

    def _scan(self, entry: TensorEntry, data: memoryview, offset: int) -> None:
        form = FORMATS[entry.dtype]
        width = form.word.itemsize
        first = (offset - len(self._carry)) // width
        buffer = self._carry + data if self._carry else data
        count = len(buffer) // width
        self._carry = bytes(buffer[count * width :])
        if entry.name in self.bad:
            return
        words = np.frombuffer(buffer, form.word, count)
        exponent = form.word.type(form.exponent)
        is_bad = (words & exponent) == exponent
        if is_bad.any():
            element = first + int(is_bad.argmax())
            self.bad[entry.name] = element // prod(entry.shape[1:])

"""Checks a checkpoint as it streams by, safetensors or torch: size, hash, header, finite head."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from headgraft.service.uploads.finiteness import FinitenessScan
from headgraft.workers.formats.find_head import HeadTensors
from headgraft.workers.formats.foreign import foreign_kind
from headgraft.workers.formats.header import LEGACY_START, ZIP_START, Header, HeaderError
from headgraft.workers.formats.safetensors import (
    HEADER_BYTES_MAX,
    LENGTH_BYTES,
    header_length,
    parse_header,
)

ZIP_END = b"PK\x05\x06"
ZIP_END_BYTES = 22
PICKLE_STARTS = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


@dataclass(frozen=True)
class Checkpoint:
    """A file that was received whole; `bad_rows` maps scanned tensors to their first NaN or Inf.

    A torch file has no header: a worker reads what is in it.
    """

    path: str
    header: Header | None
    sha256: str
    bytes: int
    bad_rows: dict[str, int]

    def check_finite(self, tensors: HeadTensors) -> None:
        """Return when the head holds finite numbers only; HeaderError naming tensor and row."""
        for name in tensors.grown:
            if name in self.bad_rows:
                row = self.bad_rows[name]
                raise HeaderError(f"head tensor {name!r:.80} holds NaN or infinity in row {row}")


class CheckpointReader:
    """Feed it a file's bytes in order; `header` is there as soon as it has passed."""

    file_name = "checkpoint.safetensors"

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._start = bytearray()
        self._scan: FinitenessScan | None = None
        self._data_start = 0
        self.bytes = 0
        self.header: Header | None = None

    def feed(self, chunk: bytes) -> bool:
        """Hash and check the next bytes; True when they completed the header.

        After True, `scan` must be called before the next feed: it takes the bytes that came behind
        the header. HeaderError on a bad header or
        on bytes behind the last tensor.
        """
        self._hash.update(chunk)
        self.bytes += len(chunk)
        if self._scan is None:
            self._start += chunk
            return self._read_header()
        self._check_trailing()
        self._scan.feed(chunk)
        return False

    def _read_header(self) -> bool:
        if len(self._start) < LENGTH_BYTES:
            return False
        self._data_start = LENGTH_BYTES + header_length(bytes(self._start[:LENGTH_BYTES]))
        if len(self._start) < self._data_start:
            return False
        self.header = parse_header(bytes(self._start[LENGTH_BYTES : self._data_start]))
        self._check_trailing()
        return True

    @property
    def size(self) -> int:
        """The file's size in bytes as the header promises it; until then, the bytes that came."""
        return self._data_start + self.header.data_bytes if self.header else self.bytes

    def _check_trailing(self) -> None:
        if self.bytes > self.size:
            raise HeaderError(
                f"the checkpoint has bytes behind its last tensor: its header describes "
                f"{self.size} bytes, and more came"
            )

    def scan(self, names: Collection[str] | None) -> None:
        """Say which tensors to look for NaN and Inf in; None means all that could be a head."""
        assert self.header is not None
        self._scan = FinitenessScan(self.header, names)
        self._scan.feed(bytes(self._start[self._data_start :]))
        self._start.clear()

    def finish(self, path: str) -> Checkpoint:
        """Return the checked file, which lies at `path`; HeaderError when it was cut short."""
        if self.header is None or self._scan is None:
            raise HeaderError(
                f"the checkpoint ends within its header, after {self.bytes} bytes: it is truncated"
            )
        if self.bytes != self.size:
            raise HeaderError(
                f"the checkpoint is truncated: its header describes {self.size} bytes, "
                f"{self.bytes} came"
            )
        return Checkpoint(path, self.header, self._hash.hexdigest(), self.bytes, self._scan.bad)


class TorchReader:
    """Feed it a torch file's bytes in order; it offers what a `CheckpointReader` does."""

    file_name = "checkpoint.pt"

    def __init__(self, *, is_zip: bool) -> None:
        self._is_zip = is_zip
        self._hash = hashlib.sha256()
        self._end = b""
        self.bytes = 0
        self.header: Header | None = None

    @property
    def size(self) -> int:
        """The bytes that came: nothing in the file's start tells how many will."""
        return self.bytes

    def feed(self, chunk: bytes) -> bool:
        """Hash the next bytes; True at the first: the request can be checked then."""
        is_first = not self.bytes
        self._hash.update(chunk)
        self.bytes += len(chunk)
        self._end = (self._end + chunk[-ZIP_END_BYTES:])[-ZIP_END_BYTES:]
        return is_first

    def scan(self, names: Collection[str] | None) -> None:
        """Do nothing: which bytes are numbers is not known here."""

    def finish(self, path: str) -> Checkpoint:
        """Return the file, which lies at `path`; HeaderError for a zip file without its end."""
        if self._is_zip and not self._end.startswith(ZIP_END):
            raise HeaderError(
                f"the torch file is truncated or not one: it begins as a zip file, but the end of "
                f"a zip file is not among its {self.bytes} bytes"
            )
        return Checkpoint(path, None, self._hash.hexdigest(), self.bytes, {})


def reader_for(start: bytes) -> CheckpointReader | TorchReader:
    """Choose by a file's first bytes; HeaderError for what is no checkpoint, saying what it is."""
    if kind := foreign_kind(start):
        raise HeaderError(f"the checkpoint is {kind}")
    if start.startswith((ZIP_START, LEGACY_START)):
        return TorchReader(is_zip=start.startswith(ZIP_START))
    # 80 02 also begins the length of a header of 640 bytes.
    is_length = int.from_bytes(start[:LENGTH_BYTES], "little") <= HEADER_BYTES_MAX
    if start.startswith(PICKLE_STARTS) and not is_length:
        raise HeaderError(
            "the checkpoint is a bare Python pickle, and not of torch.save: that is never read. "
            "Save its tensors with torch.save, or as safetensors"
        )
    return CheckpointReader()

"""Takes a torch file while it goes by: size, hash, whole or cut off.

It looks no further: what such a file holds is only for a process that may die of it.
"""

import hashlib
from collections.abc import Collection

from service.checkpoints import Checkpoint, CheckpointReader
from workers.header import HeaderError
from workers.safetensors_header import HEADER_BYTES_MAX, LENGTH_BYTES

START_BYTES = LENGTH_BYTES
ZIP_START = b"PK\x03\x04"
ZIP_END = b"PK\x05\x06"
ZIP_END_BYTES = 22
PICKLE_STARTS = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


class TorchReader:
    """Feed it a torch file's bytes in order; it offers what a `CheckpointReader` does."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._end = b""
        self.bytes = 0
        self.header = None

    @property
    def size(self) -> int:
        """The bytes that came: nothing in the file's start tells how many will."""
        return self.bytes

    def feed(self, chunk: bytes) -> bool:
        """Take the next bytes; True at the first, when the request can be checked."""
        is_first = not self.bytes
        self._hash.update(chunk)
        self.bytes += len(chunk)
        self._end = (self._end + chunk[-ZIP_END_BYTES:])[-ZIP_END_BYTES:]
        return is_first

    def scan(self, names: Collection[str] | None) -> None:
        """Do nothing: which bytes are numbers is not known here."""

    def finish(self) -> Checkpoint:
        """Return the file; HeaderError when the end that torch.save writes is not there."""
        if not self._end.startswith(ZIP_END):
            raise HeaderError(
                f"the torch file is truncated or not one: it begins as a zip file, but the end of "
                f"a zip file is not among its {self.bytes} bytes"
            )
        return Checkpoint(None, self._hash.hexdigest(), self.bytes, {})


def reader_for(start: bytes) -> CheckpointReader | TorchReader:
    """Choose by a file's first bytes; HeaderError for torch's old format, a bare pickle."""
    if start.startswith(ZIP_START):
        return TorchReader()
    # 80 02 also begins the length of a header of 640 bytes.
    is_length = int.from_bytes(start, "little") <= HEADER_BYTES_MAX
    if start.startswith(PICKLE_STARTS) and not is_length:
        raise HeaderError(
            "the checkpoint is a bare Python pickle, as torch wrote it before version 1.6: that is "
            "never read. Save it anew with torch.save, or as safetensors"
        )
    return CheckpointReader()

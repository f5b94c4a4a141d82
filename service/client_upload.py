"""A file that tells how much of it has been read; it does not know who reads it."""

import io
from collections.abc import Callable
from pathlib import Path


class UploadFile(io.FileIO):
    """A file read from disk as it is sent, with `on_read(bytes so far, bytes in all)`."""

    def __init__(self, path: Path, on_read: Callable[[int, int], None] | None) -> None:
        super().__init__(path, "rb")
        self._total = path.stat().st_size
        self._on_read = on_read

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes."""
        chunk = super().read(-1 if size is None else size) or b""
        if self._on_read:
            self._on_read(self.tell(), self._total)
        return chunk

"""Saves a download to a file, resumes one that broke off, and writes arrays to send as a file."""

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Protocol

import httpx

from headgraft.errors import HeadgraftError
from headgraft.retries import Retries
from headgraft.transport import Answer, Transport


class FileDownload:
    """A file on its way from `path` into a new local file, `part`."""

    def __init__(self, transport: Transport, retries: Retries, url: str, path: str) -> None:
        self._transport = transport
        self._retries = retries
        self._url = url
        self._path = path
        self._tag: str | None = None

    async def save(self, part: Path) -> str:
        """Write the file and return its sha256; HeadgraftError where it cannot be had."""
        with part.open("xb") as file:
            tries = 0
            while True:
                start, tries = file.tell(), tries + 1
                outcome = await self._try(file)
                if outcome is None:
                    os.fsync(file.fileno())
                    break
                if file.tell() > start:  # it gets on
                    tries = 1
                await self._retries.wait(self._transport, self._url, "GET", outcome, tries)
        with part.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    async def _try(self, file: BinaryIO) -> httpx.Response | httpx.TransportError | None:
        """Receive the file, or the rest of it; return what went wrong."""
        try:
            async with self._transport.stream(
                "GET", self._path, headers=self._rest(file)
            ) as answer:
                if not answer.reply.is_success:
                    await answer.whole()
                    return answer.reply
                await self._receive(answer, file)
        except httpx.TransportError as error:
            return error
        return None

    def _rest(self, file: BinaryIO) -> dict[str, str]:
        # A byte range of a compressed body could not be resumed.
        headers = {"Accept-Encoding": "identity"}
        if file.tell() and self._tag:
            headers |= {"Range": f"bytes={file.tell()}-", "If-Range": self._tag}
        return headers

    async def _receive(self, answer: Answer, file: BinaryIO) -> None:
        if answer.reply.status_code != httpx.codes.PARTIAL_CONTENT:
            file.seek(0)
            file.truncate()
        self._tag = answer.reply.headers.get("etag")
        async for chunk in answer.chunks:
            file.write(chunk)


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


class Array(Protocol):
    """A tensor of torch, an array of numpy, or anything that numpy makes one of."""

    @property
    def shape(self) -> tuple[int, ...]: ...


@contextmanager
def features_file(features: Path | Array, labels: Array | None, *, generic: bool) -> Iterator[Path]:
    """Yield the file of features, which is written for the occasion where arrays are given.

    HeadgraftError `invalid_features` where something is said twice, or no array can be written.
    """
    if isinstance(features, Path):
        if labels is not None or generic:
            detail = f"the file {features} says itself what its labels are, and whether its "
            detail += "pictures are generic: leave both out, or give arrays"
            raise HeadgraftError(None, "invalid_features", detail)
        yield features
        return
    from safetensors import SafetensorError

    arrays = {"features": features} | ({} if labels is None else {"labels": labels})
    with TemporaryDirectory(prefix="headgraft-") as scratch:
        path = Path(scratch) / "features.safetensors"
        try:
            save_arrays(path, arrays, {"generic": "true"} if generic else None)
        except (SafetensorError, TypeError, ValueError) as error:
            detail = f"features and labels must be arrays of numbers: {error}"
            raise HeadgraftError(None, "invalid_features", detail) from error
        yield path


def save_arrays(
    path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors of torch, or arrays of numpy, by name to a safetensors file."""
    from safetensors import TensorSpec, serialize_file

    dense = {name: _dense(array) for name, array in arrays.items()}
    # Not safetensors.torch: it needs numpy, which is larger than the client and all else of it.
    specs = {
        name: TensorSpec(
            dtype=str(array.dtype).removeprefix("torch."),
            shape=array.shape,
            data_ptr=array.data_ptr() if _is_torch(array) else array.ctypes.data,
            data_len=array.nbytes,
        )
        for name, array in dense.items()
    }
    serialize_file(specs, path, dict(metadata) if metadata else None)


def _dense(array: Any) -> Any:
    """Return the numbers in one piece of this machine's memory, in the order of a file."""
    if _is_torch(array):
        return array.detach().cpu().contiguous()
    import numpy as np

    found = np.ascontiguousarray(array)
    return found.astype(found.dtype.newbyteorder("<"), copy=False)


def _is_torch(array: object) -> bool:
    return hasattr(array, "data_ptr")

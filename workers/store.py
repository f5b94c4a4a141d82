"""The artifact store: one URL, `file://` on one machine, `s3://bucket/prefix` where they differ.

What a path means is up to its writer.
"""

import errno
import hashlib
import shutil
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, from_url

from headgraft.workers.urls import hide_passwords, without_password

CHUNK_BYTES = 5 * 1024 * 1024
UPLOADS_AT_ONCE = 3
# obstore tells these by the text of its error alone.
FULL = tuple(f"(os error {number})" for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


class StoreError(Exception):
    """The store refused or failed; the text is the store's own."""


class Missing(StoreError):
    """Nothing lies at that path."""


class Damaged(StoreError):
    """What lies at that path is not what was written: its SHA-256 is another."""


class Full(StoreError):
    """The store has no room for what was to be written."""


class Store:
    """Objects by path. A write is whole or not there; an aborted one leaves nothing."""

    def __init__(self, url: str) -> None:
        self._folder = Path(unquote(urlsplit(url).path)) if url.startswith("file://") else None
        try:
            if self._folder:
                self._objects = LocalStore(self._folder, mkdir=True, automatic_cleanup=True)
            else:
                self._objects = from_url(url)  # type: ignore[assignment]  # any of obstore's stores
        except (BaseError, OSError, ValueError) as error:
            shown, text = without_password(url), _failure(error)
            raise StoreError(f"the store {shown} cannot be opened: {text}") from None

    async def receive(self, path: str, chunks: AsyncIterable[bytes]) -> None:
        """Write what an iterator yields; if it raises, nothing is written, its error passes on."""
        try:
            await obstore.put_async(
                self._objects,
                path,
                chunks,
                chunk_size=CHUNK_BYTES,
                max_concurrency=UPLOADS_AT_ONCE,
                use_multipart=True,
            )
        except BaseError as error:
            raise _failure(error) from None

    def write(self, path: str, content: bytes | Path) -> None:
        """Write bytes, or a local file's content, over whatever lies there."""
        try:
            obstore.put(self._objects, path, content, chunk_size=CHUNK_BYTES)
        except (BaseError, OSError) as error:
            raise _failure(error) from None

    def read(self, path: str) -> bytes:
        """Return an object's bytes; Missing where there is none."""
        try:
            return bytes(obstore.get(self._objects, path).bytes())
        except (NotFoundError, FileNotFoundError) as error:
            raise Missing(path) from error
        except BaseError as error:
            raise _failure(error) from None

    def copy(self, path: str, target: str) -> None:
        """Copy an object within the store; Missing where there is none.

        Either may be deleted, and neither is ever written to: on a local disk both may be one file.
        """
        try:
            obstore.copy(self._objects, path, target)
        except (NotFoundError, FileNotFoundError) as error:
            raise Missing(path) from error
        except BaseError as error:
            raise _failure(error) from None

    def fetch(self, path: str, folder: Path, sha256: str | None = None) -> Path:
        """Return a file in `folder` to read an object by; Damaged where its hash is another.

        It is a copy, or in a local store a link: the caller may delete it, but never writes to it.
        """
        target = folder / Path(path).name
        if self._folder and (self._folder / path).is_file():
            target.symlink_to((self._folder / path).absolute())
            if sha256 is not None:
                self.verify(path, sha256)
            return target
        found = hashlib.sha256()
        with target.open("wb") as file:
            for chunk in self._blocks(path):
                file.write(chunk)
                found.update(chunk)
        if sha256 not in (None, found.hexdigest()):
            raise Damaged(path)
        return target

    def verify(self, path: str, sha256: str) -> None:
        """Read an object whole; Damaged where its hash is another, Missing where there is none."""
        found = hashlib.sha256()
        for chunk in self._blocks(path):
            found.update(chunk)
        if found.hexdigest() != sha256:
            raise Damaged(path)

    def _blocks(self, path: str) -> Iterator[bytes]:
        try:
            for chunk in obstore.get(self._objects, path).stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)
        except (NotFoundError, FileNotFoundError) as error:
            raise Missing(path) from error
        except BaseError as error:
            raise _failure(error) from None

    async def stream(self, path: str, span: tuple[int, int] | None = None) -> AsyncIterator[bytes]:
        """Open an object and return an iterator over its bytes; Missing where there is none.

        Of `span`, only the bytes from its first number on and before its second.
        """
        try:
            found = await obstore.get_async(
                self._objects, path, options={"range": span} if span else None
            )
        except (NotFoundError, FileNotFoundError) as error:
            raise Missing(path) from error
        except BaseError as error:
            raise _failure(error) from None
        return _chunks(found)

    def paths(self, prefix: str) -> Iterator[str]:
        """List the paths under a prefix."""
        try:
            for batch in obstore.list(self._objects, prefix):
                yield from (entry["path"] for entry in batch)
        except BaseError as error:
            raise _failure(error) from None

    def written_at(self, path: str) -> float:
        """Return when an object was last written, in seconds since 1970 by the store's clock."""
        try:
            return obstore.head(self._objects, path)["last_modified"].timestamp()
        except (NotFoundError, FileNotFoundError) as error:
            raise Missing(path) from error
        except BaseError as error:
            raise _failure(error) from None

    def older(self, before: float) -> Iterator[str]:
        """List the paths last written before a time in seconds since 1970."""
        try:
            for batch in obstore.list(self._objects):
                for entry in batch:
                    if entry["last_modified"].timestamp() < before:
                        yield entry["path"]
        except BaseError as error:
            raise _failure(error) from None

    def partial(self, before: float) -> list[Path]:
        """List a local store's half-written files last touched before a time.

        obstore writes to NAME#1 and renames; a process killed in between leaves that file. S3
        has a lifecycle rule for the same.
        """
        folder = self._folder
        return [
            path
            for path in (folder.rglob("*#*") if folder else ())
            if path.is_file() and path.stat().st_mtime < before
        ]

    def delete(self, path: str) -> None:
        """Delete an object, or all under a path that ends in `/`; nothing there is no error."""
        found = list(self.paths(path)) if path.endswith("/") else [path]
        try:
            if found:
                obstore.delete(self._objects, found)
        except (NotFoundError, FileNotFoundError):
            return
        except BaseError as error:
            raise _failure(error) from None
        if path.endswith("/"):
            self._drop_empty(path)

    def _drop_empty(self, prefix: str) -> None:
        """Remove the empty folder that an aborted upload to a local store leaves."""
        if self._folder and prefix.strip("/"):
            with suppress(OSError):
                (self._folder / prefix).rmdir()

    def check(self) -> None:
        """Return when the store answers; StoreError when it does not."""
        next(self.paths("readyz"), None)

    def free_bytes(self) -> int | None:
        """Return the free space of a local store's disk; None where the store is elsewhere."""
        return shutil.disk_usage(self._folder).free if self._folder else None


def _failure(error: Exception) -> StoreError:
    """Keep the first line of obstore's error, without passwords: the rest is its source."""
    text = hide_passwords(str(error).partition("\n")[0])
    return Full(text) if text.endswith(FULL) else StoreError(text)


async def _chunks(found: "obstore.GetResult") -> AsyncIterator[bytes]:
    async for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
        yield bytes(chunk)

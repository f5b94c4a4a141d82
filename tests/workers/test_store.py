"""The artifact store on a real folder: whole objects or none."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headgraft.workers.store import CHUNK_BYTES, Damaged, Missing, Store, StoreError


async def collect(store: Store, path: str) -> bytes:
    return b"".join([chunk async for chunk in await store.stream(path)])


async def chunks(count: int, *, fail: bool = False) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) * 1024 * 1024
    if fail:
        raise RuntimeError("the client is gone")


def test_what_is_written_should_be_read(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"from a file")
    store.write("a/b", b"bytes")
    store.write("a/c", tmp_path / "file")
    assert store.read("a/b") == b"bytes"
    assert asyncio.run(collect(store, "a/c")) == b"from a file"
    assert sorted(store.paths("a")) == ["a/b", "a/c"]


def test_a_received_stream_should_arrive_whole(store: Store) -> None:
    asyncio.run(store.receive("big", chunks(12)))
    content = store.read("big")
    assert len(content) == 12 * 1024 * 1024 > 2 * CHUNK_BYTES
    assert content[:1] == b"\0"
    assert content[-1:] == bytes([11])


def test_a_stream_that_breaks_should_leave_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the client is gone"):
        asyncio.run(store.receive("half/file", chunks(12, fail=True)))
    assert list(store.paths("half")) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    store.delete("half/")
    assert not (tmp_path / "store/half").exists()


def test_what_is_missing_should_be_said(store: Store, tmp_path: Path) -> None:
    with pytest.raises(Missing, match="nowhere"):
        store.read("nowhere")
    with pytest.raises(Missing, match="nowhere"):
        asyncio.run(collect(store, "nowhere"))
    with pytest.raises(Missing, match="nowhere"):
        store.fetch("nowhere", tmp_path)


def test_a_prefix_should_be_deleted_with_all_below_it_only(store: Store) -> None:
    for path in ("j/1/x", "j/1/y", "j/10/z"):
        store.write(path, b"1")
    store.delete("j/1/")
    store.delete("j/1/")
    assert list(store.paths("j")) == ["j/10/z"]


def test_a_fetched_object_should_be_the_readers_to_delete(store: Store, tmp_path: Path) -> None:
    store.write("a/b", b"bytes")
    fetched = store.fetch("a/b", tmp_path, sha256_of(b"bytes"))
    assert (fetched.parent, fetched.read_bytes()) == (tmp_path, b"bytes")
    fetched.unlink()
    fetched.with_suffix(".other").write_bytes(b"beside it")
    assert store.read("a/b") == b"bytes"
    assert list(store.paths("")) == ["a/b"]


def test_a_bit_that_flipped_should_be_seen(store: Store, tmp_path: Path) -> None:
    store.write("a/b", b"bytes")
    (tmp_path / "store/a/b").write_bytes(b"bytez")
    with pytest.raises(Damaged, match="a/b"):
        store.fetch("a/b", tmp_path, sha256_of(b"bytes"))
    with pytest.raises(Damaged, match="a/b"):
        store.verify("a/b", sha256_of(b"bytes"))
    store.verify("a/b", sha256_of(b"bytez"))


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("url", ["file://{}/file", "ftp://host/path", "no url"])
def test_a_store_that_cannot_be_opened_should_name_its_url(tmp_path: Path, url: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(url.format(tmp_path))

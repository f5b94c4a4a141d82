"""The multipart reader hands on the same parts wherever the body is cut."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgraft.service.web.multipart import MultipartBody, boundary_of
from headgraft.service.web.problems import ProblemError

BOUNDARY = b"cut-here"
TRICKY = [b"", b"\r\n", b"\r\n--cut-her", b"--cut-here", b"\r\n--", b"-" * 40]


def body(parts: list[tuple[str, bytes]]) -> bytes:
    """Write a body."""
    start = b"".join(
        b"--"
        + BOUNDARY
        + b'\r\nContent-Disposition: form-data; name="%s"\r\n\r\n' % name.encode()
        + content
        + b"\r\n"
        for name, content in parts
    )
    return start + b"--" + BOUNDARY + b"--\r\n"


def read(raw: bytes, size: int) -> list[tuple[str, bytes]]:
    """Read a body that arrives in chunks of this size."""

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(raw), size):
            yield raw[at : at + size]

    async def collect() -> list[tuple[str, bytes]]:
        reader = MultipartBody(chunks(), BOUNDARY.decode())
        found = []
        while (name := await reader.next_part()) is not None:
            found.append((name, b"".join([data async for data in reader.data()])))
        return found

    return asyncio.run(collect())


@given(
    contents=st.lists(st.sampled_from(TRICKY) | st.binary(max_size=50), min_size=1, max_size=4),
    size=st.integers(1, 60),
)
def test_parts_should_come_out_as_they_went_in(contents: list[bytes], size: int) -> None:
    sent = [(f"part {number}", content) for number, content in enumerate(contents)]

    assert read(body(sent), size) == sent


@pytest.mark.parametrize("missing", [1, 5, 20, 60])
def test_a_body_cut_short_should_be_refused(missing: int) -> None:
    whole = body([("a", b"some bytes"), ("b", b"more bytes")]).rstrip()

    with pytest.raises(ProblemError, match="closing boundary"):
        read(whole[:-missing], 7)


def test_a_body_of_countless_parts_should_be_refused() -> None:
    with pytest.raises(ProblemError, match="16 parts"):
        read(body([("a", b"")] * 17), 1000)


@pytest.mark.parametrize("value", ["multipart/form-data", "multipart/form-data; boundary="])
def test_a_boundary_should_be_asked_for(value: str) -> None:
    with pytest.raises(ProblemError, match="boundary"):
        boundary_of(value)

"""Reads a multipart/form-data body part by part as it arrives, holding one network chunk.

It does not know what the parts mean; nothing is spooled to disk.
"""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from headgraft.service.web.problems import ProblemError, invalid_at

PARTS_MAX = 16


@dataclass(frozen=True)
class _Begin:
    name: str


class _End:
    """The current part is complete."""


class MultipartBody:
    """Parts in order of arrival: `next_part`, then its `data` to the end."""

    def __init__(self, chunks: AsyncIterator[bytes], boundary: bytes) -> None:
        self._chunks = chunks
        self._events: deque[_Begin | _End | bytes] = deque()
        self._field = bytearray()
        self._value = bytearray()
        self._name = ""
        self._parts = 0
        self._ended = False
        # The parser calls back synchronously: callbacks collect, `_next` drains.
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": lambda data, start, end: self._events.append(data[start:end]),
                "on_part_end": lambda: self._events.append(_End()),
                "on_end": self._end,
            },
        )

    async def next_part(self) -> str | None:
        """Skip to the next part and return its name, None behind the last; 422 when cut off."""
        while (event := await self._next()) is not None:
            if isinstance(event, _Begin):
                return event.name
        return None

    async def data(self) -> AsyncIterator[bytes]:
        """Yield the current part's bytes as they arrive."""
        while isinstance(event := await self._next(), bytes):
            yield event

    async def _next(self) -> _Begin | _End | bytes | None:
        while not self._events:
            if self._ended:
                return None
            await self._feed()
        return self._events.popleft()

    async def _feed(self) -> None:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            raise invalid_at("", "the multipart body ends before its closing boundary") from None
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise invalid_at("", f"the body is not multipart/form-data: {error}") from None

    def _part_begin(self) -> None:
        self._name = ""
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise invalid_at("", f"the body has more than {PARTS_MAX} parts")

    def _header_end(self) -> None:
        if bytes(self._field).strip().lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._field.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        self._events.append(_Begin(self._name))

    def _end(self) -> None:
        self._ended = True


def boundary_of(content_type: str) -> bytes:
    """Return the boundary of a multipart/form-data body; 415 when there is none."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        detail = "multipart/form-data needs a boundary of 1 to 70 characters in Content-Type"
        raise ProblemError(415, "unsupported_media_type", detail)
    return boundary

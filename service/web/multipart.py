"""Reads a multipart/form-data body part by part as it arrives, holding one network chunk."""

from collections.abc import AsyncIterator

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from headgraft.service.web.problems import ProblemError, invalid_at

PARTS_MAX = 16


class MultipartBody:
    """Parts in order of arrival: `next_part`, then its `data` to the end."""

    def __init__(self, chunks: AsyncIterator[bytes], boundary: str) -> None:
        self._events = _parsed(chunks, boundary)

    async def next_part(self) -> str | None:
        """Skip to the next part and return its name, None after the last; 422 when cut off."""
        async for event in self._events:
            if isinstance(event, MultipartSegment):
                return str(event.name)
        return None

    async def data(self) -> AsyncIterator[bytes]:
        """Yield the current part's bytes as they arrive."""
        async for event in self._events:
            if not isinstance(event, bytes):
                return
            yield event


async def _parsed(
    chunks: AsyncIterator[bytes], boundary: str
) -> AsyncIterator[MultipartSegment | bytes | None]:
    """Yield a segment for each part, then its bytes, then None."""
    count = 0
    parser = PushMultipartParser(boundary)
    try:
        async for chunk in chunks:
            for event in parser.parse(chunk) if chunk else ():
                count += isinstance(event, MultipartSegment)
                if count > PARTS_MAX:
                    raise invalid_at("", f"the body has more than {PARTS_MAX} parts")
                yield event
    except MultipartError as error:
        raise invalid_at("", f"the body is not multipart/form-data: {error}") from None
    try:
        parser.close()
    except MultipartError:
        raise invalid_at("", "the multipart body ends before its closing boundary") from None


def boundary_of(content_type: str) -> str:
    """Return the boundary of a multipart/form-data body; 415 when there is none."""
    _, options = parse_options_header(content_type)
    boundary = str(options.get("boundary", ""))
    if not 1 <= len(boundary) <= 70:
        detail = "multipart/form-data needs a boundary of 1 to 70 characters in Content-Type"
        raise ProblemError(415, "unsupported_media_type", detail)
    return boundary

"""Conditional and range requests of RFC 9110 for one file."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Header

from headgraft.service.web.problems import ProblemError

Verdict = Literal["send", "not_modified"]
Span = tuple[int, int]
TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
RANGE = re.compile(
    r"bytes=[ \t]*(?:(\d{1,19})-(\d{0,19})|-(\d{1,19}))[ \t]*", re.ASCII | re.IGNORECASE
)
WEAK = "W/"


@dataclass(frozen=True)
class Preconditions:
    """What a request says of the state and the part of a file that it wants.

    There is no date to ask by: the only validator of a file is its strong entity tag.
    """

    if_match: Annotated[
        list[str] | None,
        Header(description="Entity tags, or `*`: 412 unless one of them is the file's."),
    ] = None
    if_none_match: Annotated[
        list[str] | None,
        Header(description="Entity tags, or `*`: 304 where the file's is among them."),
    ] = None
    if_range: Annotated[
        str | None, Header(description="An entity tag: the range only of this very file.")
    ] = None
    range: Annotated[
        str | None,
        Header(description="One range, `bytes=0-99`. Of several the whole file is sent."),
    ] = None

    def verdict(self, tag: str) -> Verdict:
        """Tell whether to send a file of this strong entity tag; a 412 problem where not it."""
        if self.if_match and not _strongly(tag, self.if_match):
            detail = f"the file's entity tag is {tag}, none of those in If-Match"
            raise ProblemError(412, "precondition_failed", detail, headers={"ETag": tag})
        return "not_modified" if _weakly(tag, self.if_none_match or []) else "send"

    def span(self, tag: str, size: int) -> Span | None:
        """Return which bytes of `size` to send, from the first to before the second; None: all.

        A range that is none, several, and one of another file ask for all. A 416 problem where
        the file has no byte of the range.
        """
        asked = RANGE.fullmatch(self.range or "")
        if asked is None or self.if_range not in (None, tag):
            return None
        first, last, suffix = (int(text) if text else None for text in asked.groups())
        if first is None:
            start, end = max(size - (suffix or 0), 0), size
        else:
            start, end = first, min(size, size if last is None else last + 1)
            if last is not None and last < first:
                return None
        if start >= end:
            detail = f"{asked[0]!r} names none of the file's {size} bytes"
            raise ProblemError(
                416, "range_not_satisfiable", detail, headers={"Content-Range": f"bytes */{size}"}
            )
        return start, end


def _strongly(tag: str, lines: list[str]) -> bool:
    return any(one in ("*", tag) for one in _tags(lines))


def _weakly(tag: str, lines: list[str]) -> bool:
    return any(one.removeprefix(WEAK) in ("*", tag) for one in _tags(lines))


def _tags(lines: list[str]) -> list[str]:
    """Read entity tags, or `*` alone, from the header's lines; what is no tag is none."""
    text = ", ".join(lines)
    return ["*"] if text.strip() == "*" else TAG.findall(text)


Conditions = Annotated[Preconditions, Depends()]

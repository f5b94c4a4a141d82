"""The trace a request belongs to (W3C Trace Context), so that log lines of all processes join.

Spans are not collected: none are sent anywhere.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

# Version ff is none; a later one than 00 may say more behind what we know of.
TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)


@dataclass(frozen=True)
class Trace:
    """A trace, and our span in it."""

    trace_id: str
    span_id: str
    flags: str = "00"

    @property
    def traceparent(self) -> str:
        """What we tell whoever goes on for us."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def enter(headers: Sequence[str]) -> Trace:
    """Return our span of the trace a `traceparent` names; of a trace of our own without one."""
    found = TRACEPARENT.fullmatch(headers[0].strip()) if len(headers) == 1 else None
    span_id = secrets.token_hex(8)
    if found is None or _is_none(found):
        return Trace(secrets.token_hex(16), span_id)
    # Of the flags we know the lowest bit, sampled.
    flags = f"{int(found['flags'], 16) & 1:02x}"
    return Trace(found["trace"], span_id, flags)


def _is_none(found: re.Match[str]) -> bool:
    is_longer = found["version"] == "00" and found["rest"] is not None
    return is_longer or not int(found["trace"], 16) or not int(found["parent"], 16)

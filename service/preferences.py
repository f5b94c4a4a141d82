"""What a client prefers (RFC 7240): how long it would wait for an answer that says more.

What cannot be read is no preference; it does not know what is waited for.
"""

import re
from collections.abc import Iterable

WAIT_SECONDS_MAX = 60
WAIT = re.compile(r"\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?:;.*)?", re.IGNORECASE)


def wait_seconds(headers: Iterable[str]) -> int | None:
    """Return the seconds of the first `wait=N`, `WAIT_SECONDS_MAX` at most; None without one."""
    for preference in ",".join(headers).split(","):
        if found := WAIT.fullmatch(preference):
            return min(int(found[1]), WAIT_SECONDS_MAX)
    return None

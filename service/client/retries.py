"""Decides which requests the client repeats and when, waits, and logs long waits."""

import logging
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from headgraft.errors import failure
from headgraft.transport import Transport

RETRIES = 4
FIRST_PAUSE_SECONDS = 0.5
PAUSE_SECONDS_MAX = 8.0
# Raise instead of waiting when Retry-After exceeds this.
RETRY_AFTER_SECONDS_MAX = 60.0
# A wait of at least this length is logged as a warning.
LOGGED_SECONDS = 1.0
TOO_MANY, CONFLICT, FAILED, FULL = (
    httpx.codes.TOO_MANY_REQUESTS,
    httpx.codes.CONFLICT,
    httpx.codes.INTERNAL_SERVER_ERROR,
    httpx.codes.INSUFFICIENT_STORAGE,
)
# A program that sets up no logging has its warnings on stderr.
log = logging.getLogger("headgraft.client")


@dataclass(frozen=True)
class Retries:
    """How often a request is repeated. Every POST has a key, so that it is carried out once."""

    most: int = RETRIES

    def pause(
        self, verb: str, outcome: httpx.Response | httpx.TransportError, tries: int
    ) -> float | None:
        """Return the seconds until a request is repeated, None where it is not.

        `tries` have been made, 1 or more. What Retry-After asks for is waited, or given up.
        """
        if tries > self.most or not _is_passing(verb, outcome):
            return None
        told = None if isinstance(outcome, httpx.TransportError) else retry_after(outcome)
        if told is None:
            longest = min(FIRST_PAUSE_SECONDS * 2.0 ** (tries - 1), PAUSE_SECONDS_MAX)
            # Half of it by chance, so that clients that failed together do not return together.
            return longest * random.uniform(0.5, 1.0)  # noqa: S311  # nothing secret
        return told if told <= RETRY_AFTER_SECONDS_MAX else None

    async def wait(
        self,
        transport: Transport,
        url: str,
        verb: str,
        outcome: httpx.Response | httpx.TransportError,
        tries: int,
    ) -> None:
        """Return when to repeat a request; HeadgraftError where it is not repeated."""
        seconds = self.pause(verb, outcome, tries)
        if seconds is None:
            raise failure(url, outcome)
        if seconds >= LOGGED_SECONDS:
            reason = failure(url, outcome)
            log.warning(
                "%s; asking again in %.0f s (%d of %d times)", reason, seconds, tries, self.most
            )
        await transport.sleep(seconds)


def retry_after(reply: httpx.Response) -> float | None:
    """Return what Retry-After says, in seconds from now; None where it says nothing of use."""
    said = reply.headers.get("retry-after", "").strip()
    if said.isascii() and said.isdecimal():
        return float(said)
    try:
        moment = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max((moment.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def _is_passing(verb: str, outcome: httpx.Response | httpx.TransportError) -> bool:
    """Return whether to retry; a refused connection and a full store are not retried."""
    if isinstance(outcome, httpx.TransportError):
        return not isinstance(outcome, httpx.ConnectError | httpx.UnsupportedProtocol)
    if outcome.status_code == CONFLICT:
        # The first one of this key is still being answered.
        return verb == "POST" and retry_after(outcome) is not None
    is_failure = outcome.status_code >= FAILED and outcome.status_code != FULL
    return outcome.status_code == TOO_MANY or is_failure

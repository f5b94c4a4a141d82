"""Creates keys as the command line does, and clients that carry them."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from headgraft.service.web import created_keys
from headgraft.service.web.key_limits import KeyLimits
from tests.ledger import Ledger
from tests.processes import Processes


def key(ledger: Ledger, owner: str = "ada", **limits: int) -> str:
    """Create a key and return its text."""
    return created_keys.create(ledger, owner, "", KeyLimits(**limits))[1]


def key_id(text: str) -> str:
    """Return the id in a key's text."""
    return text.split("_")[1]


@contextmanager
def client(processes: Processes, text: str | None) -> Iterator[httpx.Client]:
    """Return a client of a server, with a key or without."""
    headers = {"Authorization": f"Bearer {text}"} if text else {}
    with httpx.Client(base_url=processes.url, headers=headers, timeout=30) as one:
        yield one

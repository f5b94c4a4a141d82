"""Real parts for every test: a server of our own, a ledger over it, a store in a folder."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headgraft.service.local import redis_server
from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.ledger.scripts import connect
from tests import processes

if TYPE_CHECKING:
    from headgraft.workers.store import Store


# A shell ignores Ctrl-C for what it starts in the background, and children inherit that: tests
# that send it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a server that lives as long as the test run."""
    server = redis_server.start(tmp_path_factory.mktemp("redis"))
    yield server.url
    server.stop()


@pytest.fixture
def ledger(redis_url: str) -> Iterator[Ledger]:
    """Return a ledger over an empty database."""
    client = connect(redis_url)
    client.flushdb()
    yield Ledger(client)
    client.close()


@pytest.fixture
def store(tmp_path: Path) -> "Store":
    """Return a store in the test's own folder."""
    from headgraft.workers.store import (
        Store,  # a store that cannot be imported fails its own tests only
    )

    return Store(f"file://{tmp_path}/store")


@pytest.fixture
def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    return processes.free_port()

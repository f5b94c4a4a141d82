"""The real server in its own process, once without keys and once with; Redis emptied per test."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.ledger import Ledger
from tests.processes import Processes
from tests.service.product import product as whole_product

KEYS = {"ada": "a-key-of-at-least-16", "grace": "another-key-of-16-up"}


@pytest.fixture(scope="session")
def open_api(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Return a running server without keys."""
    processes = Processes(tmp_path_factory.mktemp("open"), redis_url)
    processes.start_api()
    yield processes
    processes.stop()


@pytest.fixture(scope="session")
def keyed_api(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Return a running server with the keys of two owners."""
    keys = ",".join(f"{owner}:{key}" for owner, key in KEYS.items())
    environment = {"HEADGRAFT_API_KEYS": keys}
    processes = Processes(tmp_path_factory.mktemp("keyed"), redis_url, environment)
    processes.start_api()
    yield processes
    processes.stop()


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Return the whole product running: a Redis of its own, the API, a worker that is online.

    tests/schedule.py keeps the files that use it in one process. They leave it running.
    """
    allowed = {"HEADGRAFT_WEBHOOK_ALLOW": "127.0.0.1/32"}
    with whole_product(tmp_path_factory.mktemp("product"), **allowed) as running:
        yield running


@pytest.fixture
def api(open_api: Processes, ledger: Ledger) -> Iterator[httpx.Client]:
    """Return a client of the server without keys, over an empty ledger."""
    with httpx.Client(base_url=open_api.url, timeout=30) as client:
        yield client


@pytest.fixture
def ada(keyed_api: Processes, ledger: Ledger) -> Iterator[httpx.Client]:
    """Return the client of one owner."""
    with _client(keyed_api, KEYS["ada"]) as client:
        yield client


@pytest.fixture
def grace(keyed_api: Processes, ledger: Ledger) -> Iterator[httpx.Client]:
    """Return the client of another owner."""
    with _client(keyed_api, KEYS["grace"]) as client:
        yield client


def _client(processes: Processes, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=processes.url, headers=headers, timeout=30)


@pytest.fixture
def kept(open_api: Processes) -> Path:
    """Return the store's folder of the server without keys, emptied."""
    folder = open_api.store_folder
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    return folder

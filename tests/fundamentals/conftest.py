"""The product's own processes, once for all fundamentals: API, worker, Redis, store."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from headgraft.service.local import redis_server
from tests.processes import Processes, eventually

LEASE_SECONDS = "3"


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Start Redis and the API; a test that wants a worker starts it."""
    folder = tmp_path_factory.mktemp("product")
    server = redis_server.start(folder / "redis")
    running = Processes(folder, server.url, {"HEADGRAFT_LEASE_SECONDS": LEASE_SECONDS})
    try:
        running.start_api()
        yield running
    finally:
        running.stop()
        server.stop()


@pytest.fixture(scope="module")
def worker(processes: Processes) -> Processes:
    """Start a worker and wait until it is online."""
    processes.start_worker()
    eventually(
        lambda: httpx.get(f"{processes.url}/v1/encoders").json()["data"], 60, "a worker is online"
    )
    return processes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a test keeps what it uploads and downloads."""
    return tmp_path

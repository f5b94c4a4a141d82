"""Runs the whole product: Redis, API and a worker that is online."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from headgraft.service.local import redis_server
from tests.processes import Processes, eventually


@contextmanager
def product(folder: Path, **environment: str) -> Iterator[Processes]:
    """Start all of it, and end it with the block."""
    server = redis_server.start(folder / "redis")
    running = Processes(folder, server.url, environment)
    try:
        running.start_api()
        running.start_worker()
        encoders = f"{running.url}/v1/encoders"
        eventually(lambda: httpx.get(encoders).json()["data"], 60, "a worker is online")
        yield running
    finally:
        running.stop()
        server.stop()

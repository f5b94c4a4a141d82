"""The product's processes for a measurement: Redis, API and one worker, each on its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from headgraft.service.local import redis_server
from tests.processes import Processes, eventually
from tests.service.files import checkpoint, class_names, head_tensors, parts

SEEN = 100


@contextmanager
def served() -> Iterator[Processes]:
    """Start them, wait until the worker is online, and end them."""
    with TemporaryDirectory(prefix="headgraft-bench-") as name:
        folder = Path(name)
        server = redis_server.start(folder / "redis")
        processes = Processes(folder, server.url)
        try:
            processes.start_api()
            processes.start_worker()
            eventually(lambda: _is_online(processes.url), 90, "a worker is online")
            yield processes
        finally:
            processes.stop()
            server.stop()


def _is_online(url: str) -> bool:
    return bool(httpx.get(f"{url}/v1/encoders").json()["data"])


def upload_head(url: str) -> str:
    """Upload a small head once; return its id."""
    sent = parts({"class_names": class_names(SEEN)}, checkpoint(head_tensors(seen=SEEN)))
    response = httpx.post(f"{url}/v1/heads", files=sent)
    response.raise_for_status()
    return str(response.json()["id"])

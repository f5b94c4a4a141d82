"""Says the API's calls in one line each, over plain HTTP: nothing of our own client is used."""

import json
from pathlib import Path
from typing import Any

import httpx

from tests.processes import eventually

TERMINAL = {"succeeded", "failed", "cancelled"}


def post(url: str, checkpoint: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Upload a checkpoint with a request; return the queued injection.

    It runs, whatever ran before it: unless told otherwise, no earlier result is taken.
    """
    request = {"reuse": False, **request}
    with checkpoint.open("rb") as file:
        reply = httpx.post(
            f"{url}/v1/injections",
            files={"request": (None, json.dumps(request)), "checkpoint": file},
            timeout=60,
        )
    assert reply.status_code == 202, reply.text
    return dict(reply.json())


def look(url: str, injection: str) -> dict[str, Any]:
    """Return an injection as the API shows it."""
    reply = httpx.get(f"{url}/v1/injections/{injection}")
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def wait(url: str, injection: str, seconds: float = 120) -> dict[str, Any]:
    """Poll until an injection has ended."""
    eventually(lambda: look(url, injection)["status"] in TERMINAL, seconds, "the job ends")
    return look(url, injection)


def wait_running(url: str, injection: str, seconds: float = 120) -> dict[str, Any]:
    """Poll until a worker has begun and reported progress."""
    eventually(lambda: look(url, injection)["progress"] > 0, seconds, "the job makes progress")
    return look(url, injection)


def cancel(url: str, injection: str) -> httpx.Response:
    """Cancel an injection."""
    return httpx.post(f"{url}/v1/injections/{injection}/cancel")


def download(url: str, injection: str, target: Path) -> Path:
    """Save the extended checkpoint."""
    reply = httpx.get(f"{url}/v1/injections/{injection}/head")
    assert reply.status_code == 200, reply.text
    target.write_bytes(reply.content)
    return target

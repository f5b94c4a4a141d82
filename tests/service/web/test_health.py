"""The probes of a server that is well; test_problems has the sick ones."""

from pathlib import Path

import httpx

from headgraft.workers import ownership
from headgraft.workers.store import Store
from tests.ledger import Ledger


def test_a_server_with_all_it_needs_should_be_alive_and_ready(
    api: httpx.Client,
    kept: Path,  # an empty store
) -> None:
    alive = api.get("/healthz")
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    ready = api.get("/readyz")
    assert ready.status_code == 200
    assert (ready.json()["status"], ready.json()["store"]) == ("ok", "ok")
    loops = ready.json()["loops"]
    assert set(loops) == {"wakes", "deadlines", "deliverer", "metrics"}
    assert not [name for name, loop in loops.items() if loop["deaths"] or loop["is_stuck"]]


def test_a_store_of_another_redis_should_be_told(
    api: httpx.Client, ledger: Ledger, kept: Path
) -> None:
    """The test's Redis is empty, as one is that has lost its data."""
    ownership.adopt(ledger, Store(f"file://{kept}"))
    assert api.get("/readyz").json()["store"] == "ok"
    ledger.client.delete(ledger.key("store"))
    ready = api.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert "belongs to another Redis" in ready.json()["store"]

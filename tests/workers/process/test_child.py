"""A worker's threads, in one process: each outlives an error, and its announcement says so."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headgraft.workers import background
from headgraft.workers.config import WorkerSettings
from headgraft.workers.jobs.presence import LoopState, Presence
from headgraft.workers.ledger.ledger import Ledger as WorkersLedger
from headgraft.workers.process import health
from headgraft.workers.process.child import Child
from headgraft.workers.run.job import EncoderRegistry
from tests import command
from tests.ledger import Ledger
from tests.processes import eventually


def fail_once(monkeypatch: pytest.MonkeyPatch, kind: Any, name: str, calls: int = 1) -> None:
    """Let the first calls of a method fail by an error that nobody expects."""
    original: Callable[..., Any] = getattr(kind, name)
    left = [KeyError("unexpected") for _ in range(calls)]

    def failing(*arguments: Any, **options: Any) -> Any:
        if left:
            raise left.pop()
        return original(*arguments, **options)

    monkeypatch.setattr(kind, name, failing)


def test_every_thread_of_a_worker_should_outlive_an_error_and_tell_of_it(
    redis_url: str, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {
        "HEADGRAFT_REDIS_URL": redis_url,
        "HEADGRAFT_STORE_URL": f"file://{tmp_path}/store",
        "HEADGRAFT_DEVICES": "cpu",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(background, "PAUSES_SECONDS", (0.01,))
    monkeypatch.setattr("headgraft.workers.process.child.ANNOUNCE_SECONDS", 0.05)
    fail_once(monkeypatch, WorkersLedger, "announce")
    # Both the announcer and the thread that loads them ask which encoders there are.
    fail_once(monkeypatch, EncoderRegistry, "installed", calls=2)
    monkeypatch.setattr(EncoderRegistry, "get", lambda *_: None)
    child = Child(WorkerSettings(), "cpu", replaced=2)
    thread = threading.Thread(target=child.serve)
    thread.start()
    try:
        eventually(ledger.workers, 60, "the worker announces itself")
        [told] = ledger.workers()
        assert told.replaced == 2
        assert {"announcer", "warm", "claims", "lease"} == set(told.loops)
        assert child.announcer.deaths + child.warm.deaths == 3
        assert told.loops["announcer"].deaths == child.announcer.deaths > 0
        done = command.run(health.main, ["health"], {**environment})
        assert done.returncode == 0
        assert "has replaced 2 children" in done.stderr
        assert "thread announcer died" in done.stderr
    finally:
        child.drain()
        thread.join(60)
    assert not thread.is_alive()
    assert ledger.workers() == []


def test_a_stuck_thread_should_make_a_worker_unhealthy(
    redis_url: str, ledger: Ledger, tmp_path: Path
) -> None:
    stuck = LoopState(deaths=0, age_seconds=90.0, is_stuck=True)
    name = f"{socket.gethostname()}-1"
    ledger.announce(Presence(name=name, device="cpu", loops={"lease": stuck}))
    environment = {
        "HEADGRAFT_REDIS_URL": redis_url,
        "HEADGRAFT_STORE_URL": f"file://{tmp_path}/store",
        "HEADGRAFT_DEVICES": "cpu",
    }
    done = command.run(health.main, ["health"], environment)
    assert done.returncode == 1
    assert f"{name}: thread lease is stuck for 90 s" in done.stderr

"""Everything killed at once, or `up` alone: no process is left, and no job and no event lost."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests import checkpoints
from tests.faults.follower import Follower
from tests.fundamentals import client
from tests.processes import command_line, eventually, free_port

# Long enough to be killed in the middle, and short enough to end beside other work: a worker
# leaves the cores to whatever else runs.
LONG_ICIS = {"epochs": 150, "early_stop": False}
ENDED_SECONDS = 300.0


@dataclass
class Product:
    """One `headgraft up` after another on one state folder and port."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        """Start it and wait until it is ready."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HEADGRAFT_")}
        command = ["up", "--state", str(self.folder / "state"), "--port", str(self.port)]
        with (self.folder / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "headgraft", *command],
                env={**environment, "HEADGRAFT_LEASE_SECONDS": "2", "HEADGRAFT_DEVICES": "cpu"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self.is_ready, 60, "the service is ready")

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def family(self) -> list[psutil.Process]:
        """Return every process below `up`, without itself."""
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def worker(self) -> psutil.Process | None:
        """Return the worker's child, once it runs."""
        for member in self.family():
            if "headgraft.workers.process.child" in command_line(member):
                return member
        return None

    def kill_up(self) -> None:
        """kill -9 of `up` alone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)

    def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            assert self.process.wait(60) == 0


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    """Start `headgraft up`; whatever the test leaves of it is killed."""
    running = Product(tmp_path)
    running.up()
    family: list[psutil.Process] = []
    try:
        yield running
    finally:
        if running.process and running.process.poll() is None:
            family = running.family()
            running.kill_up()
        for member in family:
            if member.is_running():
                member.kill()


def submit(product: Product, count: int, **fields: Any) -> list[str]:
    uploaded = checkpoints.write(product.folder / "in.safetensors")
    request = checkpoints.request(**fields)
    return [client.post(product.url, uploaded, request)["id"] for _ in range(count)]


def one_running_two_queued(product: Product) -> tuple[list[str], list[Follower]]:
    """Return three jobs, the first under way, and what follows each of them."""
    # The worker waits until all are followed, so that the first does not end before it is killed.
    eventually(product.worker, 60, "a worker's child runs")
    worker = product.worker()
    assert worker is not None
    worker.suspend()
    jobs = submit(product, 1, method="icis", settings=LONG_ICIS) + submit(product, 2)
    followers = [Follower(product.url, job) for job in jobs]
    eventually(lambda: all(follower.seen for follower in followers), 60, "all are followed")
    worker.resume()
    client.wait_running(product.url, jobs[0])
    return jobs, followers


def all_events(product: Product, job: str) -> list[str]:
    """Return the ids of a finished job's events, read in one go."""
    reader = Follower(product.url, job)
    reader.thread.join(60)
    assert reader.connections == 1
    return reader.seen


def check_nothing_lost(product: Product, jobs: list[str], followers: list[Follower]) -> None:
    for job, follower in zip(jobs, followers, strict=True):
        assert client.wait(product.url, job, ENDED_SECONDS)["status"] == "succeeded"
        follower.thread.join(60)
        assert not follower.thread.is_alive()
        assert follower.connections > 1
        assert follower.seen == all_events(product, job)
        assert len(set(follower.seen)) == len(follower.seen) >= 3


def test_a_kill_of_parts_or_of_all_should_lose_nothing(product: Product) -> None:
    """The three parts together, then `up` alone, then everything: each in the middle of a job."""
    jobs, followers = one_running_two_queued(product)
    victims = product.family()
    assert len(victims) >= 4  # API, worker's parent, worker's child, Redis server
    end(victims)
    eventually(product.is_ready, 60, "up has started them again")
    check_nothing_lost(product, jobs, followers)

    jobs, followers = one_running_two_queued(product)
    victims = product.family()
    product.kill_up()
    eventually(lambda: not any(p.is_running() for p in victims), 60, "all have ended")
    product.up()
    check_nothing_lost(product, jobs, followers)
    assert client.look(product.url, jobs[0])["attempt"] == 2

    jobs, followers = one_running_two_queued(product)
    victims = product.family()
    product.kill_up()
    end(victims)
    product.up()
    check_nothing_lost(product, jobs, followers)
    product.stop()


def end(victims: list[psutil.Process]) -> None:
    """Kill processes, of which some may have ended with another, and wait until all have ended."""
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    eventually(lambda: not any(p.is_running() for p in victims), 60, "all have ended")

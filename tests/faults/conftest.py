"""A Redis server, a store and processes of their own for every test that breaks them."""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headgraft.service.local import redis_server
from headgraft.service.local.redis_server import RedisServer
from headgraft.workers.jobs.spec import Record
from headgraft.workers.store import Store
from tests import checkpoints
from tests.documents import statuses, summary
from tests.ledger import Ledger
from tests.processes import Processes, eventually

# tests/site/sitecustomize.py adds them to the methods.
METHODS = Path(__file__).parent / "methods"
OWNER = "local"
# It bounds failures only: a worker leaves the cores to whatever else runs.
ENDED_SECONDS = 180.0
SHAPE = {"weight": "fc.weight", "bias": "fc.bias", "feature_size": 16, "dtype": "F32"}


@dataclass
class Bench:
    """What a fault test works with: `run` queues a job past the API, for methods it lacks."""

    folder: Path
    server: RedisServer
    processes: Processes
    ledger: Ledger
    store: Store

    def run(self, method: str, *, timeout_seconds: int = 120, **settings: Any) -> str:
        """Queue a job that runs a method of tests/faults/methods; return its id."""
        job = f"inj_{secrets.token_hex(12)}"
        checkpoint = checkpoints.write(self.folder / "in.safetensors")
        self.store.write(f"{OWNER}/uploads/{job}/checkpoint.safetensors", checkpoint)
        head = {
            "path": f"{OWNER}/uploads/{job}/checkpoint.safetensors",
            "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
            "bytes": checkpoint.stat().st_size,
            "tensors": {**SHAPE, "class_count": 20},
            "metric": "linear",
            "scale": 1.0,
            "class_names": [{"name": name} for name in checkpoints.class_names(20)],
        }
        spec = {
            "schema_version": 1,
            "head": head,
            "add": [{"name": name} for name in checkpoints.class_names(3, "new")],
            "class_embeddings": checkpoints.vectors(),
            "method": method,
            "settings": settings,
            # Calibration would run the method more than once.
            "calibration": {"enabled": False},
            "timeout_seconds": timeout_seconds,
        }
        path = f"{OWNER}/{job}/request.json"
        self.store.write(path, json.dumps(spec).encode())
        about = summary(method=method, settings=settings, head={"bytes": head["bytes"], **SHAPE})
        self.ledger.create(job, OWNER, spec=path, summary=about, timeout_seconds=timeout_seconds)
        return job

    def read(self, job: str) -> Record:
        """Return the job's record."""
        record = self.ledger.get(job)
        assert record is not None
        return record

    def until(self, job: str, wanted: Callable[[Record], object], seconds: float) -> Record:
        """Wait until the record is as wanted."""
        eventually(lambda: wanted(self.read(job)), seconds, f"the record is {self.read(job)}")
        return self.read(job)

    def ended(self, job: str, seconds: float = ENDED_SECONDS) -> Record:
        """Wait until the job has ended."""
        return self.until(job, lambda record: record.is_terminal, seconds)

    def running(self, job: str, seconds: float = ENDED_SECONDS) -> Record:
        """Wait until the job makes progress."""
        return self.until(job, lambda record: record.progress > 0, seconds)

    def results(self, job: str) -> list[Path]:
        """Return the extended heads in the store for a job: one per attempt that left any."""
        return list(self.processes.store_folder.glob(f"{OWNER}/{job}/*/head.safetensors"))

    def starts(self, job: str) -> int:
        """Return how often the job was begun, after its events."""
        return statuses(self.ledger.events(job)).count("running")

    def fault(self, point: str, action: str) -> tuple[dict[str, str], Path]:
        """Return the environment that breaks a process at a point, and the flag it raises there."""
        flag = self.folder / f"{point}-{action}"
        return {"HEADGRAFT_FAULT": f"{point}:{action}:{flag}"}, flag

    def log(self, module: str = "headgraft.workers.process.parent") -> list[dict[str, Any]]:
        """Return what a module's processes logged."""
        lines = self.processes.log(module).read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@contextmanager
def bench_in(folder: Path) -> Iterator[Bench]:
    """Start a Redis server; workers and API are for the test to start."""
    server = redis_server.start(folder / "redis")
    processes = Processes(folder, server.url, {"HEADGRAFT_TEST_METHODS": str(METHODS)})
    ledger = Ledger(server.url)
    ledger.open_queue()
    try:
        yield Bench(folder, server, processes, ledger, Store(f"file://{processes.store_folder}"))
    finally:
        processes.stop()
        ledger.client.close()
        server.stop()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench of the test's own."""
    with bench_in(tmp_path) as bench:
        yield bench


@pytest.fixture(scope="module")
def shared_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Return a bench for the tests of a file that leave its processes running."""
    with bench_in(tmp_path_factory.mktemp("bench")) as bench:
        yield bench

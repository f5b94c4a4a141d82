"""A storm: clients submit jobs while processes are killed and paused, and Redis refuses; it counts.

`make storm` runs ten minutes of it; the suite a short one.
"""

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis

from headgraft.service.local import redis_server
from headgraft.workers.jobs.presence import Presence
from headgraft.workers.jobs.spec import Record
from headgraft.workers.ledger.scripts import GROUP
from headgraft.workers.process.janitor import Janitor
from headgraft.workers.store import Store
from tests import checkpoints, keyspace
from tests.documents import statuses
from tests.faults.follower import Follower
from tests.faults.redis_servers import NO_RETRY
from tests.faults.refusals import REFUSALS
from tests.fundamentals import client
from tests.ledger import Ledger
from tests.processes import Processes, eventually

WORKERS = 3
CLIENTS = 8
OWNER = "local"
PAUSE_SECONDS = (2.0, 6.0)  # beyond the lease of 2 s, so that paused workers are replaced
BETWEEN_SECONDS = (2.0, 5.0)
SETTLE_SECONDS = 180.0


@dataclass
class Count:
    """What the storm did and what came of it; `wrong` lists every broken promise."""

    kills: int = 0
    pauses: int = 0
    refusals: int = 0
    jobs: int = 0
    unconfirmed: int = 0
    reruns: int = 0
    refused: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


class Storm:
    """One storm over an API, three workers and a Redis server, all restarted when they end."""

    def __init__(
        self, folder: Path, *, seconds: float, jobs: int, seed: int, refuses: bool = False
    ) -> None:
        self.seconds, self.jobs, self.refuses = seconds, jobs, refuses
        self.random = random.Random(seed)
        self.server = redis_server.start(folder / "redis")
        self.processes = Processes(folder, self.server.url, {"HEADGRAFT_LEASE_SECONDS": "2"})
        self.ledger = Ledger(self.server.url, retries=20)
        self.store = Store(f"file://{self.processes.store_folder}")
        self.uploaded = checkpoints.write(folder / "in.safetensors")
        self.count = Count()
        self.followers: list[Follower] = []
        self.over = threading.Event()

    def run(self) -> Count:
        """Let it rage, let it settle, and count."""
        try:
            self.api = self.processes.start_api()
            self.workers = [self.processes.start_worker() for _ in range(WORKERS)]
            eventually(lambda: len(self.ledger.workers()) == WORKERS, 60, "workers are online")
            with ThreadPoolExecutor(CLIENTS) as pool:
                clients = [pool.submit(self._submit, number) for number in range(CLIENTS)]
                self._rage()
                for each in clients:
                    each.result()
            self._settle()
            self._check()
            return self.count
        finally:
            self.processes.stop()
            self.server.stop()

    def _rage(self) -> None:
        """Kill or pause somebody every few seconds; only this thread starts processes."""
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            self._tend_for(self.random.uniform(*BETWEEN_SECONDS))
            if self.refuses and self.random.random() < 0.3:
                self._refuse()
                continue
            victim = self._victim()
            if victim and self.random.random() < 0.5:
                victim.kill()
                self.count.kills += 1
            elif victim:
                self._pause(victim)
        self.over.set()
        self._tend_for(1)

    def _refuse(self) -> None:
        """Let Redis refuse writes, or all calls, for a while."""
        refusal = self.random.choice(list(REFUSALS.values()))
        mend = refusal(self._connect)
        self.count.refusals += 1
        self._tend_for(self.random.uniform(*PAUSE_SECONDS))
        mend()

    def _connect(self) -> "redis.Redis":
        path = str(self.server.socket)
        return redis.Redis(
            unix_socket_path=path, retry=NO_RETRY, decode_responses=True, socket_timeout=20
        )

    def _victim(self) -> psutil.Process | None:
        pids = [self.api.pid, self.server.pid]
        pids += [pid for worker in self.workers for pid in (worker.pid, *self._children(worker))]
        try:
            return psutil.Process(self.random.choice(pids))
        except psutil.NoSuchProcess:
            return None

    def _children(self, worker: Any) -> list[int]:
        try:
            return self.processes.children(worker)
        except psutil.NoSuchProcess:
            return []

    def _pause(self, victim: psutil.Process) -> None:
        try:
            victim.suspend()
            self.count.pauses += 1
            self._tend_for(self.random.uniform(*PAUSE_SECONDS))
            victim.resume()
        except psutil.NoSuchProcess:
            return

    def _tend_for(self, seconds: float) -> None:
        """Start again what ended, as a supervisor would."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.server.poll() is not None:
                self.server.restart()
            if self.api.poll() is not None:
                self.api = self.processes.start("headgraft.service.server")
            for slot, worker in enumerate(self.workers):
                if worker.poll() is not None:
                    self.workers[slot] = self.processes.start_worker()
            time.sleep(0.1)

    def _submit(self, number: int) -> None:
        """Be one client: submit, follow to the end, wait for the next turn."""
        mine = range(number, self.jobs, CLIENTS)
        choose = random.Random(number)
        start = time.monotonic()
        for turn in mine:
            due = start + self.seconds * turn / self.jobs
            time.sleep(max(0.0, due - time.monotonic()))
            follower = Follower(self.processes.url, self._post(choose.randint(20, 300)))
            self.followers.append(follower)
            follower.thread.join(SETTLE_SECONDS + self.seconds)

    def _post(self, epochs: int) -> str:
        settings = {"epochs": epochs, "early_stop": False}
        request = checkpoints.request(method="icis", settings=settings)
        while True:
            try:
                return str(client.post(self.processes.url, self.uploaded, request)["id"])
            except (httpx.TransportError, AssertionError) as error:
                if isinstance(error, AssertionError) and "unavailable" not in str(error):
                    self.count.wrong.append(f"a good request was refused: {error}")
                    raise
                time.sleep(0.5)

    def _settle(self) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline and not all(r.is_terminal for r in self._records()):
            self._tend_for(1)

    def _records(self) -> list[Record]:
        return self.ledger.jobs(OWNER, limit=100_000)

    def _check(self) -> None:
        records = self._records()
        Janitor(self.ledger, self.store, age_seconds=-1).clean()
        followed = {follower.job: follower for follower in self.followers}
        self.count.jobs = len(records)
        self.count.unconfirmed = len(records) - len(followed)
        for record in records:
            self.count.reruns += max(0, record.attempt - 1)
            self.count.statuses[record.status] = self.count.statuses.get(record.status, 0) + 1
            self.count.wrong += [f"{record.id}: {each}" for each in self._defects(record)]
            if record.id in followed and followed[record.id].seen != self._entries(record):
                self.count.wrong.append(f"{record.id}: its follower missed or doubled an event")
        lost = set(followed) - {record.id for record in records}
        self.count.wrong += [f"{job}: accepted, and gone" for job in lost]
        self.count.wrong += [*self._lasting(), *self._ended_loops(), *self._flipped(records)]
        log = self.processes.log("headgraft.workers.process.parent").read_text()
        self.count.refused = log.count('"answer": "lost"') + log.count('"answer": "cancelled"')

    def _entries(self, record: Record) -> list[str]:
        return [event.id for event in self.ledger.events(record.id, count=100_000)]

    def _defects(self, record: Record) -> list[str]:
        events = self.ledger.events(record.id, count=100_000)
        told = statuses(events)
        results = list(self.processes.store_folder.glob(f"{OWNER}/{record.id}/*/manifest.json"))
        heads = list(self.processes.store_folder.glob(f"{OWNER}/{record.id}/*/head.safetensors"))
        wanted = 1 if record.status == "succeeded" else 0
        checks = {
            f"is still {record.status}": record.is_terminal,
            f"told {told}": told[-1:] == [record.status]
            and sum(status in client.TERMINAL for status in told) == 1
            and told.count("running") >= record.attempt,
            f"has {len(results)} manifests, {len(heads)} heads": len(results) == wanted
            and len(heads) == wanted,
        }
        return [text for text, holds in checks.items() if not holds]

    def _ended_loops(self) -> list[str]:
        """Say which background threads and tasks died of an error, or no longer go round."""
        ready = httpx.get(f"{self.processes.url}/readyz", timeout=60).json()
        states = [Presence(name="API", device="", loops=ready["loops"]), *self.ledger.workers()]
        return [
            f"{one.name}: {name} died {loop.deaths} times, or is stuck"
            for one in states
            for name, loop in one.loops.items()
            if loop.deaths or loop.is_stuck
        ]

    def _flipped(self, records: list[Record]) -> list[str]:
        """Flip a bit of each result's head; say which of them is sent all the same."""
        wrong = []
        for record in records:
            for file in self.processes.store_folder.glob(f"{OWNER}/{record.id}/*/head.safetensors"):
                content = bytearray(file.read_bytes())
                content[len(content) // 2] ^= 1
                file.write_bytes(content)
            address = f"{self.processes.url}/v1/injections/{record.id}/head"
            if httpx.get(address, timeout=60).status_code != httpx.codes.CONFLICT:
                wrong.append(f"{record.id}: its damaged head is sent")
        return wrong

    def _lasting(self) -> list[str]:
        """Hold the keyspace against the ledger's list: what lasts, and that all else expires."""
        key, redis = self.ledger.key, self.ledger.client
        wrong = keyspace.leaks(self.ledger)
        if redis.xlen(key("queue")) or redis.xpending(key("queue"), GROUP)["pending"]:
            wrong.append("the queue is not empty")
        return wrong


def main(arguments: list[str]) -> int:
    """Run a storm and print what it did; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storm")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        about = {"seconds": options.seconds, "jobs": options.jobs, "seed": options.seed}
        storm = Storm(Path(folder), **about, refuses=True)
        count = storm.run()
    print(
        f"kills {count.kills}, pauses {count.pauses}, refusals {count.refusals}, jobs {count.jobs} "
        f"({count.unconfirmed} never confirmed to a client), ended {count.statuses}, "
        f"re-runs {count.reruns}, refused commits {count.refused}"
    )
    print("\n".join(count.wrong) or "no promise broken")
    return 1 if count.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

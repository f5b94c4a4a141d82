"""Polling and streaming while a worker works: what the API still has for a single request.

`python -m tests.benchmarks.load`, about two minutes. This process is the load: 100 clients ask for
a job's status and for the empty route, each once a second in turn; 100 stream the events of
jobs, two a job, and hold what they heard against the list of events. API, Redis and worker are
processes of their own; 50 jobs go through the one worker meanwhile.
"""

import asyncio
import json
import time
from collections import defaultdict
from dataclasses import dataclass, field

import httpx
import psutil

from tests.benchmarks.plain_http import Connection
from tests.benchmarks.served import SEEN, served, upload_head
from tests.service.files import class_names, vectors

JOBS, POLLERS, STREAMS = 50, 100, 100
RATIO_MAX = 3.0
# Some steps of training in each, so that there is progress to tell.
SETTINGS = {"epochs": 40, "early_stop": False}
TERMINAL = {"succeeded", "failed", "cancelled"}
EMPTY = "/healthz"


@dataclass
class Load:
    """The clients of one run, and what they measured."""

    port: int
    jobs: list[str]
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    events: int = 0

    async def poll(self, number: int) -> None:
        """Ask for status and for the empty route, each once a second, until all jobs ended."""
        status = f"/v1/injections/{self.jobs[number % len(self.jobs)]}"
        await asyncio.sleep(number / POLLERS)
        connection = await Connection.open(self.port)
        due = time.monotonic()
        routes = [("status", status), ("empty", EMPTY)]
        # Half of the clients begin with either, so that both meet the first burst of requests.
        if number % 2:
            routes.reverse()
        while not self.ended.is_set():
            for route, path in routes:
                begun = time.perf_counter()
                await connection.get(path)
                self.seconds[route].append(time.perf_counter() - begun)
                due += 0.5
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        connection.close()

    async def stream(self, number: int) -> None:
        """Follow a job to its end; fail where an event is lost, doubled or out of order."""
        own = f"/v1/injections/{self.jobs[number % len(self.jobs)]}"
        heard: list[str] = []
        status = None
        connection = await Connection.open(self.port)
        async for line in connection.lines(f"{own}/events"):
            name, _, value = line.partition(": ")
            if name == "id":
                heard.append(value)
            elif name == "data":
                status = json.loads(value).get("status", status)
        connection.close()
        assert status in TERMINAL, f"{own} ended as {status}"
        assert heard == await self._listed(own), f"{own}: what was heard is not what happened"
        self.events += len(heard)

    async def _listed(self, own: str) -> list[str]:
        connection = await Connection.open(self.port)
        page = json.loads(await connection.get(f"{own}/events/list?limit=1000"))
        connection.close()
        assert not page["has_more"]
        return [event["id"] for event in page["data"]]


async def run(port: int, jobs: list[str], api: psutil.Process) -> bool:
    """Put the load on; print what came of it and return whether the targets were met."""
    load = Load(port, jobs)
    pollers = [asyncio.create_task(load.poll(number)) for number in range(POLLERS)]
    memory = asyncio.create_task(_watch(api, load.ended))
    begun, before = time.monotonic(), _busy(api, psutil.Process())
    await asyncio.gather(*(load.stream(number) for number in range(STREAMS)))
    took, after = time.monotonic() - begun, _busy(api, psutil.Process())
    load.ended.set()
    await asyncio.gather(*pollers)
    of_api, of_load = (100 * (b - a) / took for a, b in zip(before, after, strict=True))
    print(
        f"processor time: {of_api:.0f} % of a core the API, {of_load:.0f} % the load; "
        f"{psutil.getloadavg()[0]:.1f} processes ready on {psutil.cpu_count()} cores"
    )
    print(f"{JOBS} jobs in {took:.1f} s; {load.events} events to {STREAMS} streams, in order")
    is_quick = _told(load, took)
    return _is_flat(await memory) and is_quick


def _busy(*processes: psutil.Process) -> list[float]:
    return [sum(process.cpu_times()[:2]) for process in processes]


def _create(client: httpx.Client, head: str, number: int) -> str:
    asked = {
        "head_id": head,
        "add": class_names(3, f"new {number}"),
        "class_embeddings": vectors(seen=SEEN),
        "method": "icis",
        "settings": SETTINGS,
        "calibration": {"enabled": False},
        "reuse": False,
    }
    reply = client.post("/v1/injections", json=asked)
    assert reply.status_code == 202, reply.text
    return str(reply.json()["id"])


async def _watch(api: psutil.Process, ended: asyncio.Event) -> list[float]:
    sizes = []
    while not ended.is_set():
        sizes.append(api.memory_info().rss / 2**20)
        await asyncio.sleep(1)
    return sizes


def _told(load: Load, took: float) -> bool:
    p99 = {}
    for route, seconds in load.seconds.items():
        found = sorted(seconds)
        p99[route] = found[int(0.99 * len(found))]
        median = found[len(found) // 2]
        print(
            f"{route}: p99 {1000 * p99[route]:.1f} ms, median {1000 * median:.1f} ms, "
            f"{len(found) / took:.0f} a second"
        )
    ratio = p99["status"] / p99["empty"]
    print(f"p99 of status is {ratio:.2f} times that of an empty route; target <= {RATIO_MAX}")
    return ratio <= RATIO_MAX


def _is_flat(sizes: list[float]) -> bool:
    """Tell whether the second half of the run needed no more than a twentieth more memory."""
    middle, last = max(sizes[: len(sizes) // 2]), max(sizes[len(sizes) // 2 :])
    print(
        f"memory of the API: {sizes[0]:.0f} MiB at first, {middle:.0f} by half, {last:.0f} at most"
    )
    return last <= 1.05 * middle


def main() -> int:
    """Return 0 when the targets were met."""
    with served() as processes:
        api, head = psutil.Process(processes.started[0].pid), upload_head(processes.url)
        with httpx.Client(base_url=processes.url, timeout=60) as client:
            jobs = [_create(client, head, number) for number in range(JOBS)]
        return int(not asyncio.run(run(processes.port, jobs, api)))


if __name__ == "__main__":
    raise SystemExit(main())

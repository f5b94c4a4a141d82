"""What the service adds to a job: from enqueued to begun on an idle worker, and all in all.

`python -m tests.benchmarks.latency`, half a minute. The first is told by Redis's clock alone, the
second by the client's: from its POST to the finished job in its hands, less the seconds that the
worker says its stages took (load, embed, synthesize, write, draw).
"""

import statistics
import time

import httpx

from tests.benchmarks.served import SEEN, served, upload_head
from tests.ledger import Ledger
from tests.service.files import class_names, vectors

JOBS = 100
WARM_UP = 5
START_MS_MAX = 150
OVERHEAD_MS_MAX = 400


def main() -> None:
    """Print both medians with their spread, and the share of each stage."""
    with served() as processes, httpx.Client(base_url=processes.url, timeout=90) as client:
        head, ledger = upload_head(processes.url), Ledger(processes.redis_url)
        runs = [_run(client, ledger, head) for _ in range(WARM_UP + JOBS)][WARM_UP:]
    starts_ms = sorted(run[0] for run in runs)
    overheads_ms = sorted(run[1] for run in runs)
    _print("enqueue to start", starts_ms, START_MS_MAX)
    _print("overhead of a whole ridge job beyond its compute", overheads_ms, OVERHEAD_MS_MAX)
    for stage in runs[0][2]:
        print(f"  {stage}: {1000 * statistics.median(run[2][stage] for run in runs):.1f} ms")


def _run(client: httpx.Client, ledger: Ledger, head: str) -> tuple[float, float, dict[str, float]]:
    """Run one job; return ms from enqueued to begun, ms of overhead, seconds of its stages."""
    asked = {
        "head_id": head,
        "add": class_names(3, "new"),
        "class_embeddings": vectors(seen=SEEN),
        "method": "ridge",
        "reuse": False,
    }
    begun = time.perf_counter()
    reply = client.post("/v1/injections", json=asked, headers={"Prefer": "wait=60"})
    wall_seconds = time.perf_counter() - begun
    job = reply.json()
    assert (reply.status_code, job["status"]) == (200, "succeeded"), reply.text
    record = ledger.get(job["id"])
    assert record is not None
    assert record.started_at is not None
    overhead_seconds = wall_seconds - sum(job["seconds"].values())
    return record.started_at - record.created_at, 1000 * overhead_seconds, job["seconds"]


def _print(what: str, found_ms: list[float], limit_ms: int) -> None:
    median = statistics.median(found_ms)
    verdict = "ok" if median < limit_ms else "MISSED"
    print(
        f"{what}: median {median:.1f} ms of {len(found_ms)} (min {found_ms[0]:.1f}, "
        f"p90 {found_ms[int(0.9 * len(found_ms))]:.1f}, max {found_ms[-1]:.1f}); "
        f"target < {limit_ms}: {verdict}"
    )


if __name__ == "__main__":
    main()

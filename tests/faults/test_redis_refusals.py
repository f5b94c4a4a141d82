"""A Redis that answers, but refuses: each is like one that is away, and nothing of ours ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from headgraft.workers.store import Store
from tests.documents import statuses
from tests.faults.conftest import METHODS, Bench
from tests.faults.redis_servers import RedisProcess, expect_failover, replicated
from tests.faults.refusals import REFUSALS, refusal_of
from tests.ledger import Ledger
from tests.processes import Processes, eventually
from tests.service.files import problem, submit
from tests.service.webhooks.hooks import Listener, listening
from tests.service.webhooks.test_routes import hook

# How many commands a restarted server reads; each takes 0.1 ms, and it answers after every 1024th.
LOADED_COMMANDS = 20_000


class Watched:
    """A product whose Redis is reached by way of a Sentinel, and who listens to its webhooks."""

    def __init__(
        self, bench: Bench, master: RedisProcess, sentinel: RedisProcess, hears: Listener
    ) -> None:
        self.bench, self.master, self.sentinel, self.hears = bench, master, sentinel, hears
        self.client = httpx.Client(base_url=bench.processes.url, timeout=60)

    def queued(self) -> str:
        """Queue a job behind the one that runs; return its address."""
        # A call that comes at once after an outage may still meet it.
        eventually(lambda: self.client.get("/readyz").status_code == 200, 60, "the API is ready")
        answer = submit(self.client)
        assert answer.status_code == 202, answer.text
        return f"/v1/injections/{answer.json()['id']}"

    def connect(self) -> Any:
        """Return a new client of the master itself."""
        return self.master.client

    def load(self) -> Callable[[], object]:
        """LOADING: start the master again, which takes a while to read its files."""
        with self.connect() as client, client.pipeline(transaction=False) as pipe:
            for number in range(LOADED_COMMANDS):
                pipe.set("headgraft:janitor", number)
            pipe.execute()
        self.master.kill()
        self.master.start("--key-load-delay", "100")
        eventually(lambda: refusal_of(self.connect) == "LOADING", 60, "it loads")
        return self.master.wait

    def deaths(self) -> dict[str, int]:
        """Return how often each background loop of the API and of the worker died."""
        loops = dict(self.client.get("/readyz").json()["loops"])
        deaths = {name: loop["deaths"] for name, loop in loops.items()}
        [worker] = self.bench.ledger.workers()
        return deaths | {name: loop.deaths for name, loop in worker.loops.items()}


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    with replicated(folder / "redis") as (master, sentinel), listening() as hears:
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main?db=0"
        environment = {
            "HEADGRAFT_TEST_METHODS": str(METHODS),
            "HEADGRAFT_WEBHOOK_ALLOW": "127.0.0.1/32",
            "HEADGRAFT_LEASE_SECONDS": "10",
        }
        processes = Processes(folder, url, environment)
        ledger = Ledger(url, retries=8)
        ledger.open_queue()
        store = Store(f"file://{processes.store_folder}")
        bench = Bench(folder, cast(Any, None), processes, ledger, store)
        product = Watched(bench, master, sentinel, hears)
        try:
            processes.start_api()
            processes.start_worker()
            hook(product.client, hears.url)
            yield product
        finally:
            product.client.close()
            processes.stop()
            ledger.client.close()


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Start the product, for both tests of this file."""
    with watched(tmp_path_factory.mktemp("sentinel")) as product:
        yield product


def test_every_refusal_should_be_a_503_and_end_nothing(product: Watched) -> None:
    """One job runs on through all of them; a write is refused during each and done after it."""
    bench = product.bench
    job = bench.run("sleeps", seconds=12)
    bench.running(job)
    for said in (*REFUSALS, "LOADING"):
        cancel = f"{product.queued()}/cancel"
        heard = len(product.hears.heard)
        mend = product.load() if said == "LOADING" else REFUSALS[said](product.connect)
        refused = product.client.post(cancel)
        # A server that loads its files may have read them while the API still tries.
        if said != "LOADING" or refused.status_code != 200:
            problem(refused, 503, "redis_full" if said == "OOM" else "redis_unavailable")
            assert int(refused.headers["retry-after"]) > 0
        assert product.client.get("/v1/injections").status_code in (200, 503)
        mend()
        eventually(lambda path=cancel: cancelled(product, path), 60, f"{said} is over")  # type: ignore[misc]
        product.hears.wait(heard + 1)
    record = bench.ended(job)
    assert (record.status, record.attempt) == ("succeeded", 1)
    check_whole(product, job)


def cancelled(product: Watched, path: str) -> bool:
    answer = product.client.post(path)
    assert answer.status_code in (200, 503, 409), answer.text
    return answer.status_code != 503


def test_a_failover_in_the_middle_of_a_job_should_end_in_one_result(product: Watched) -> None:
    bench = product.bench
    job = bench.run("sleeps", seconds=6)
    begun = bench.running(job)
    waiting = product.queued()
    # What a replica has not got yet is lost with its master: that is Redis's own way.
    with product.connect() as client:
        client.set("headgraft:janitor", "1", ex=60)
        assert client.wait(1, 60_000) == 1
    expect_failover(product.sentinel)
    product.master.kill()
    eventually(lambda: cancelled(product, f"{waiting}/cancel"), 60, "the replica has taken over")
    record = bench.ended(job)
    assert record.status == "succeeded"
    assert record.worker == begun.worker
    check_whole(product, job)
    assert bench.ended(bench.run("sleeps", seconds=0.1)).status == "succeeded"


def check_whole(product: Watched, job: str) -> None:
    bench = product.bench
    assert len(bench.results(job)) == 1
    assert statuses(bench.ledger.events(job)).count("succeeded") == 1
    assert set(product.deaths().values()) == {0}
    errors = [line for line in bench.log("headgraft.service.server") if line["level"] == "error"]
    assert errors == []

"""Counts for Prometheus, on a port of their own; no label ever holds an owner or an id."""

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import redis
from prometheus_client import CollectorRegistry, Counter, Histogram, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from headgraft.workers.background import Loop
from headgraft.workers.jobs.presence import LoopState, Presence
from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.ledger.scripts import LedgerError

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The service's counters; each scrape asks for the queue, in a thread of its own.

    `loops` are the service's background tasks, and the thread that answers scrapes.
    """

    def __init__(self, ledger: Ledger, loops: Sequence[Loop] = ()) -> None:
        self._server_loop = Loop("metrics")
        self.loops = (*loops, self._server_loop)
        self.registry = CollectorRegistry()
        self.registry.register(QueueCollector(ledger))
        self.registry.register(LoopCollector(self.loops))
        labels = ("method", "route", "status")
        self._seconds = Histogram(
            "headgraft_request_seconds",
            "Seconds a request took, by route template and status.",
            labels,
            registry=self.registry,
        )
        self._created = Counter(
            "headgraft_injections_created", "Injections accepted.", registry=self.registry
        )

    def note_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request that has ended."""
        # A client may send any word as its method; each would be a series for ever.
        known = method if method in METHODS else "OTHER"
        self._seconds.labels(known, route, str(status)).observe(seconds)

    def note_injection(self) -> None:
        """Count one job that was created."""
        self._created.inc()

    def serve(self, host: str, port: int) -> None:
        """Answer scrapes from a thread of its own."""
        app, loop = make_wsgi_app(self.registry), self._server_loop
        kind = _server_kind(host, loop)
        server = make_server(host, port, app, server_class=kind, handler_class=_QuietHandler)
        work = (server.serve_forever, threading.Event())
        threading.Thread(target=loop.run, args=work, name=loop.name, daemon=True).start()

    def states(self) -> dict[str, LoopState]:
        """Return how each background task and thread is, by name."""
        return {loop.name: loop.state for loop in self.loops}


def _server_kind(host: str, loop: Loop) -> type[ThreadingWSGIServer]:
    class NotingServer(ThreadingWSGIServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def service_actions(self) -> None:
            loop.note_round()

    return NotingServer


class _QuietHandler(WSGIRequestHandler):
    """Logs no scrape."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class QueueCollector(Collector):
    """Asks the ledger when scraped; with Redis away, `headgraft_redis_up` is 0 and says so."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name nothing ahead: registering must not ask Redis."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield the queue's length, the number of workers online, and how their threads are."""
        try:
            waiting = self._ledger.command("xlen", self._ledger.key("queue"))
            online = self._ledger.workers()
        except (LedgerError, redis.RedisError):
            yield GaugeMetricFamily("headgraft_redis_up", "Whether Redis answers.", 0)
            return
        yield GaugeMetricFamily("headgraft_redis_up", "Whether Redis answers.", 1)
        yield GaugeMetricFamily("headgraft_queue_jobs", "Jobs queued or running.", waiting)
        yield GaugeMetricFamily("headgraft_workers_online", "Workers online.", len(online))
        yield from _of_loops("headgraft_worker", _worst(online))


class LoopCollector(Collector):
    """Tells how the service's own background tasks and threads are."""

    def __init__(self, loops: Sequence[Loop]) -> None:
        self._loops = loops

    def collect(self) -> Iterator[Metric]:
        """Yield deaths and age of each."""
        yield from _of_loops("headgraft", {loop.name: loop.state for loop in self._loops})


def _worst(workers: Sequence[Presence]) -> dict[str, LoopState]:
    """Return of each thread that workers have the deaths in all and the greatest age."""
    found: dict[str, LoopState] = {}
    for worker in workers:
        for name, state in worker.loops.items():
            other = found.get(name, LoopState(deaths=0, age_seconds=None, is_stuck=False))
            ages = [one.age_seconds for one in (state, other) if one.age_seconds is not None]
            found[name] = LoopState(
                deaths=state.deaths + other.deaths,
                age_seconds=max(ages, default=None),
                is_stuck=state.is_stuck or other.is_stuck,
            )
    return found


def _of_loops(prefix: str, states: Mapping[str, LoopState]) -> Iterator[Metric]:
    deaths = CounterMetricFamily(
        f"{prefix}_loop_deaths", "Errors that ended a background loop.", labels=["loop"]
    )
    ages = GaugeMetricFamily(
        f"{prefix}_loop_age_seconds", "Seconds since a background loop went round.", labels=["loop"]
    )
    for name, state in states.items():
        deaths.add_metric([name], state.deaths)
        if state.age_seconds is not None:
            ages.add_metric([name], state.age_seconds)
    yield from (deaths, ages)

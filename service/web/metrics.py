"""Counts for Prometheus, on a port of their own; no label ever holds an owner or an id."""

from collections.abc import Iterator

import redis
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.ledger.scripts import LedgerError

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The service's counters; each scrape asks for the queue, in a thread of its own."""

    def __init__(self, ledger: Ledger) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(QueueCollector(ledger))
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
        start_http_server(port, addr=host, registry=self.registry)


class QueueCollector(Collector):
    """Asks the ledger when scraped; with Redis away, `headgraft_redis_up` is 0 and says so."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name nothing ahead: registering must not ask Redis."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the queue's length and the number of workers online."""
        try:
            waiting = self._ledger.command("xlen", self._ledger.key("queue"))
            online = len(self._ledger.workers())
        except (LedgerError, redis.RedisError):
            yield GaugeMetricFamily("headgraft_redis_up", "Whether Redis answers.", 0)
            return
        yield GaugeMetricFamily("headgraft_redis_up", "Whether Redis answers.", 1)
        yield GaugeMetricFamily("headgraft_queue_jobs", "Jobs queued or running.", waiting)
        yield GaugeMetricFamily("headgraft_workers_online", "Workers online.", online)

"""The queue as a client sees it: how many jobs are ahead, who is online, how long it will take.

One snapshot serves all requests of a moment, so that a thousand pollers cost about as much as one.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

import redis
import structlog

from headgraft.workers.jobs.spec import Record
from headgraft.workers.jobs.summary import Summary
from headgraft.workers.ledger.ledger import PRESENCE_SECONDS
from headgraft.workers.ledger.scripts import AsyncRedisScripts, LedgerError

FRESH_SECONDS = 0.25
log = structlog.get_logger("headgraft.queue_view")
# How long a job of a method takes is estimated from at least ENDED_MIN finished ones, and only if
# their upper quartile is at most SPREAD_MAX times the lower.
ENDED_MIN = 3
SPREAD_MAX = 3.0
# Before this part of its work is done, a job's pace says nothing.
PROGRESS_MIN = 0.05
Seconds = float | None
Entry = tuple[int, int]


@dataclass(frozen=True)
class Running:
    """A job that has been delivered, as far as it tells what it still takes."""

    method: str
    started_at: int | None
    progress: float

    def seconds_left(self, now_ms: int, seconds: Mapping[str, Seconds]) -> Seconds:
        """Estimate by its own pace; before it has one, by what jobs of its method took."""
        spent = (now_ms - self.started_at) / 1000 if self.started_at else 0.0
        if PROGRESS_MIN <= self.progress < 1 and spent > 0:
            return spent * (1 - self.progress) / self.progress
        usual = seconds.get(self.method)
        return None if usual is None or spent > usual else usual - spent


@dataclass(frozen=True)
class QueueSnapshot:
    """The queue at one moment: `places` of the queued jobs, from 1, and their `waits`.

    A wait is the seconds until a job begins, None where there is no estimate.
    """

    at: float = float("-inf")
    now_ms: int = 0
    newest: Entry = (0, 0)
    workers_online: int = 0
    places: Mapping[str, int] = field(default_factory=dict)
    waits: Mapping[str, Seconds] = field(default_factory=dict)
    seconds: Mapping[str, Seconds] = field(default_factory=dict)

    def place(self, record: Record) -> int | None:
        """Return 1 for the next job to be delivered; None once a worker has it."""
        return self.places.get(record.id, 1) if record.status == "queued" else None

    def seconds_left(self, record: Record) -> Seconds:
        """Estimate the seconds until a live job ends; None where there is no ground for it.

        A running job: its pace so far, or what the last jobs of its method took. A queued one:
        the same of all that is ahead of it, shared by the workers online, and then its own.
        """
        method = record.summary.method
        if record.status == "running":
            running = Running(method, record.started_at, record.progress)
            return running.seconds_left(self.now_ms, self.seconds)
        own, wait = self.seconds.get(method), self.waits.get(record.id)
        if record.status != "queued" or own is None or wait is None:
            return None
        return wait + own


class QueueView:
    """Takes snapshots of the queue when asked, at most every `FRESH_SECONDS` of its clock."""

    def __init__(
        self, scripts: AsyncRedisScripts, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._scripts = scripts
        self._clock = clock
        self._lock = asyncio.Lock()
        self._renewal: asyncio.Task[None] | None = None
        self._last = QueueSnapshot()
        self._methods: dict[str, str] = {}

    async def snapshot(self, record: Record | None = None) -> QueueSnapshot:
        """Return a fresh snapshot, one that has seen the record's message."""
        if self.recent(record) is None:
            async with self._lock:
                if self.recent(record) is None:
                    self._last = await self._take()
        return self._last

    def recent(self, record: Record | None) -> QueueSnapshot | None:
        """Return the last snapshot where it still serves.

        Halfway to its end the next one is taken in the background: frequent askers never wait.
        """
        age = self._clock() - self._last.at
        is_known = record is None or _entry(record.message) <= self._last.newest
        if not is_known or age > FRESH_SECONDS:
            return None
        is_due = age > FRESH_SECONDS / 2 and not self._lock.locked()
        if is_due and (self._renewal is None or self._renewal.done()):
            self._renewal = asyncio.create_task(self._renew())
        return self._last

    async def stop(self) -> None:
        """Take no further snapshot: what the last one uses can be closed."""
        if self._renewal:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    async def _renew(self) -> None:
        async with self._lock:
            try:
                self._last = await self._take()
            except LedgerError as error:
                log.warning("look_not_renewed", error=str(error))
            except Exception:
                # Whoever asks next takes the snapshot, and is told what is wrong.
                log.exception("look_not_renewed")

    async def _take(self) -> QueueSnapshot:
        scripts, at = self._scripts, self._clock()
        (clock, micros), messages, announced = await scripts.pipeline(
            [
                ("time",),
                ("xrange", scripts.key("queue")),
                ("zrange", scripts.key("workers"), 0, -1, False, True),
            ]
        )
        now_ms = clock * 1000 + micros // 1000
        silent_ms = now_ms - PRESENCE_SECONDS * 1000
        online = sum(at_ms > silent_ms for _, at_ms in announced)
        jobs = {fields["job"]: _entry(message) for message, fields in messages}
        delivered = await self._delivered() if jobs else (0, 0)
        begun = [job for job, message in jobs.items() if message <= delivered]
        running = await self._running(begun)
        queued = [job for job, message in jobs.items() if message > delivered]
        methods = await self._methods_of(queued)
        seconds = await self._seconds_of({*methods, *(job.method for job in running)})
        ahead = [job.seconds_left(now_ms, seconds) for job in running]
        return QueueSnapshot(
            at=at,
            now_ms=now_ms,
            newest=max(jobs.values(), default=(0, 0)),
            workers_online=online,
            places={job: place for place, job in enumerate(queued, 1)},
            waits=_waits(queued, ahead, [seconds[method] for method in methods], online),
            seconds=seconds,
        )

    async def _delivered(self) -> Entry:
        try:
            groups = await self._scripts.command("xinfo_groups", self._scripts.key("queue"))
        except redis.ResponseError:  # the last message has left meanwhile, and the stream with it
            return (0, 0)
        return _entry(groups[0]["last-delivered-id"]) if groups else (0, 0)

    async def _running(self, jobs: Collection[str]) -> list[Running]:
        fields = ("summary", "started_at", "progress")
        hashes = await self._scripts.pipeline(
            ("hmget", self._scripts.key("job", job), *fields) for job in jobs
        )
        return [
            Running(_method(summary), int(started_at) if started_at else None, float(progress))
            for summary, started_at, progress in hashes
            if summary
        ]

    async def _methods_of(self, jobs: Collection[str]) -> list[str]:
        """Look up the methods that the last snapshot did not know, and forget jobs that left."""
        fresh = [job for job in jobs if job not in self._methods]
        summaries = await self._scripts.pipeline(
            ("hget", self._scripts.key("job", job), "summary") for job in fresh
        )
        known = self._methods | dict(zip(fresh, map(_method, summaries), strict=True))
        self._methods = {job: known[job] for job in jobs}
        return [known[job] for job in jobs]

    async def _seconds_of(self, methods: Collection[str]) -> dict[str, Seconds]:
        histories = await self._scripts.pipeline(
            ("lrange", self._scripts.key("seconds", method), 0, -1) for method in methods
        )
        return dict(zip(methods, map(usual_seconds, histories), strict=True))


def usual_seconds(milliseconds: Collection[Any]) -> Seconds:
    """Return the median of what jobs took; None where they are few, or too unlike each other."""
    if len(milliseconds) < ENDED_MIN:
        return None
    low, median, high = quantiles([int(one) / 1000 for one in milliseconds], n=4)
    return None if high > SPREAD_MAX * max(low, 0.1) else median


def _waits(
    queued: Collection[str], running: list[Seconds], each: list[Seconds], workers: int
) -> dict[str, Seconds]:
    """Share the work ahead of each queued job evenly by the workers."""
    if not workers:
        return {}

    waits, ahead = {}, _sum(running)
    for job, own in zip(queued, each, strict=True):
        waits[job] = None if ahead is None else ahead / workers
        ahead = _sum([ahead, own])
    return waits


def _sum(parts: Collection[Seconds]) -> Seconds:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _method(summary: str | None) -> str:
    return Summary.model_validate_json(summary).method if summary else ""


def _entry(message: str) -> Entry:
    milliseconds, _, number = message.partition("-")
    return int(milliseconds or 0), int(number or 0)

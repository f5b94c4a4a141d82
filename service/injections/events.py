"""Fans the ledger's wake channel out to the event streams of this process.

One task reads the channel; each stream then reads the job's own events from the ledger, so that a
lost wake costs delay, never an event.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress

import structlog

from headgraft.workers.background import Loop
from headgraft.workers.jobs.events import Event, StatusEvent
from headgraft.workers.jobs.spec import TERMINAL
from headgraft.workers.ledger.scripts import LedgerError
from headgraft.workers.ledger.service_ledger import ServiceLedger

HEARTBEAT_SECONDS = 15.0
PAUSE_MIN_SECONDS = 0.1
PAUSE_MAX_SECONDS = 5.0
# Of the connections to Redis: when a hundred streams begin at once, other requests need not wait.
READING_MAX = 2
log = structlog.get_logger("headgraft.events")


class EventHub:
    """Wakes the streams of a job when the channel names it.

    `wakes` must have a client that repeats no call: a repetition would hide a lost connection, and
    with it lost wakes.
    """

    def __init__(self, ledger: ServiceLedger, wakes: ServiceLedger) -> None:
        self._ledger = ledger
        self.wakes = wakes
        self.loop = Loop("wakes")
        self._reading = asyncio.Semaphore(READING_MAX)
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.is_closed = False

    def close(self) -> None:
        """Let every stream end."""
        self.is_closed = True
        self._wake_all()

    @contextmanager
    def listen(self, job: str) -> Iterator[asyncio.Event]:
        """Return an event that is set whenever the job has news."""
        event = asyncio.Event()
        self._waiting[job].add(event)
        try:
            yield event
        finally:
            self._waiting[job].discard(event)
            if not self._waiting[job]:
                del self._waiting[job]

    async def read_wakes(self) -> None:
        """Read the channel until cancelled, whatever becomes of the connection."""
        pause_seconds = PAUSE_MIN_SECONDS
        while True:
            self.loop.note_round()
            try:
                async with aclosing(self.wakes.wakes()) as wakes:
                    # Notifications before the subscription are lost: every stream reads once first.
                    await anext(wakes)
                    self._wake_all()
                    pause_seconds = PAUSE_MIN_SECONDS
                    async for job in wakes:
                        self.loop.note_round()
                        if job:
                            self._wake(job)
            except LedgerError as error:
                log.warning("wakes_cut_off", error=str(error), pause_seconds=pause_seconds)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, PAUSE_MAX_SECONDS)

    def _wake(self, job: str) -> None:
        for event in self._waiting.get(job, ()):
            event.set()

    def _wake_all(self) -> None:
        for job in list(self._waiting):
            self._wake(job)

    async def follow(self, job: str, after: str = "-") -> AsyncIterator[Event]:
        """Yield the job's events after stream id `after`, to the one of its terminal status.

        Ends as well when the record has expired, and when the service ends.
        """
        with self.listen(job) as news:
            while not self.is_closed:
                news.clear()
                events, is_over = await self._look(job, after)
                for event in events:
                    after = event.id
                    yield event
                    if is_end(event):
                        return
                if is_over and not events:
                    return
                if not events:
                    await _wait(news, HEARTBEAT_SECONDS)

    async def wait(self, job: str, seconds: float) -> None:
        """Return when the job has ended, or after the time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for _ in self.follow(job):
                    pass

    async def _look(self, job: str, after: str) -> tuple[list[Event], bool]:
        try:
            async with self._reading:
                record, events = await self._ledger.get_with_events(job, after=after)
            return events, record is None or record.is_terminal
        except LedgerError as error:
            log.warning("events_unreadable", job=job, error=str(error))
            await asyncio.sleep(1.0)
            return [], False


def is_end(event: Event) -> bool:
    """Tell whether this event is a job's last."""
    return isinstance(event.data, StatusEvent) and event.data.status in TERMINAL


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()

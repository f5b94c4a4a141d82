"""Fans the ledger's wake channel out to the event streams of this process.

One thread reads the channel; each stream then reads the job's own events from the ledger, so that
a lost wake costs delay, never an event.
"""

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import structlog
from anyio import to_thread

from headgraft.workers.jobs.events import Event, StatusEvent
from headgraft.workers.jobs.spec import TERMINAL
from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.ledger.scripts import LedgerError

HEARTBEAT_SECONDS = 15.0
PAUSE_MIN_SECONDS = 0.1
PAUSE_MAX_SECONDS = 5.0
log = structlog.get_logger("headgraft.events")


class EventHub:
    """Wakes the streams of a job when the channel names it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the service is ending, and its streams with it."""
        return self._stop.is_set()

    def start(self) -> None:
        """Start the reader; call it in the event loop that the streams run in."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._read, args=(loop,), name="wakes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let every stream and the reader end."""
        self._stop.set()
        self._wake_all()

    def join(self) -> None:
        """Wait for the reader, a second or two at most."""
        if self._thread:
            self._thread.join(2.0)

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

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        pause_seconds = PAUSE_MIN_SECONDS
        while not self._stop.is_set():
            try:
                for number, job in enumerate(self._ledger.wakes()):
                    pause_seconds = PAUSE_MIN_SECONDS
                    if self._stop.is_set():
                        return
                    # Wakes sent before we listened are lost: first, everybody looks for himself.
                    if job or number == 0:
                        self._post(loop, job)
            except LedgerError as error:
                log.warning("wakes_cut_off", error=str(error), pause_seconds=pause_seconds)
            self._stop.wait(pause_seconds)
            pause_seconds = min(2 * pause_seconds, PAUSE_MAX_SECONDS)

    def _post(self, loop: asyncio.AbstractEventLoop, job: str | None) -> None:
        # The loop is closed already when the process ends.
        with suppress(RuntimeError):
            if job:
                loop.call_soon_threadsafe(self._wake, job)
            else:
                loop.call_soon_threadsafe(self._wake_all)

    def _wake(self, job: str) -> None:
        for event in self._waiting.get(job, ()):
            event.set()

    def _wake_all(self) -> None:
        for job in list(self._waiting):
            self._wake(job)

    async def follow(self, job: str, after: str = "-") -> AsyncIterator[Event]:
        """Yield the job's events behind stream id `after`, until its terminal status is told.

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
            return await to_thread.run_sync(self._look_now, job, after)
        except LedgerError as error:
            log.warning("events_unreadable", job=job, error=str(error))
            await asyncio.sleep(1.0)
            return [], False

    # The record first: a job that was over before its events were read has no more to come.
    def _look_now(self, job: str, after: str) -> tuple[list[Event], bool]:
        record = self._ledger.get(job)
        is_over = record is None or record.is_terminal
        return self._ledger.events(job, after=after), is_over


def is_end(event: Event) -> bool:
    """Tell whether this event is a job's last."""
    return isinstance(event.data, StatusEvent) and event.data.status in TERMINAL


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()

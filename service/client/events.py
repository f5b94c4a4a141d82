"""Follows one injection through its event stream, and by polling where there is none."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
from pydantic import ValidationError

from headgraft.errors import HeadgraftError
from headgraft.retries import log
from headgraft.service.schemas.injections import InjectionResource
from headgraft.transport import Transport
from headgraft.workers.jobs.events import EVENT_DATA, DamageEvent, ProgressEvent, StatusEvent
from headgraft.workers.jobs.spec import TERMINAL

SILENCE_SECONDS = 40.0  # the service speaks at least every 15 s
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
# What an event tells of an injection, by the names that the injection has for it.
CHANGED = {"status", "attempt", "progress", "stage", "loss"}


@dataclass(frozen=True)
class ServerEvent:
    """One event of a stream; without `id` a sign of life, without `data` of a type not known."""

    id: str | None = None
    data: StatusEvent | ProgressEvent | DamageEvent | None = None


@dataclass
class Watch:
    """One injection, followed across broken connections and restarts of the service."""

    transport: Transport
    read: Callable[[str], Awaitable[InjectionResource]]
    injection: str
    on_progress: Callable[[InjectionResource], None]
    _last_id: str | None = field(default=None, init=False)
    _shown: InjectionResource | None = field(default=None, init=False)

    async def to_the_end(self, timeout_seconds: float | None) -> InjectionResource:
        """Return the injection once it has ended; HeadgraftError `timeout` where it lasts."""
        deadline = time.monotonic() + (timeout_seconds or float("inf"))
        while not _is_over(shown := await self._poll()):
            _check(shown, deadline)
            try:
                await self._listen(deadline)
            except (httpx.TransportError, HeadgraftError):  # the next poll shows a lasting one
                await self.transport.sleep(POLL_SECONDS)
        return shown

    async def _poll(self) -> InjectionResource:
        """Read the injection; a service that is away has a minute to come back."""
        patience = time.monotonic() + PATIENCE_SECONDS
        is_told = False
        while True:
            try:
                return self._show(await self.read(self.injection))
            except HeadgraftError as error:
                is_away = error.status in (None, httpx.codes.SERVICE_UNAVAILABLE)
                if not is_away or time.monotonic() > patience:
                    raise
                if not is_told:
                    log.warning("%s; waiting for it for %.0f s", error, PATIENCE_SECONDS)
                    is_told = True
                await self.transport.sleep(POLL_SECONDS)

    async def _listen(self, deadline: float) -> None:
        """Hear events until the last one, a break, or the deadline."""
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        left = max(0.1, min(SILENCE_SECONDS, deadline - time.monotonic()))
        address = f"/v1/injections/{self.injection}/events"
        reader = EventReader()
        async with self.transport.stream("GET", address, headers=headers, timeout=left) as answer:
            if not answer.reply.is_success:
                await self.transport.sleep(POLL_SECONDS)
                return
            async for line in answer.lines:
                event = reader.feed(line)
                shown = await self._hear(event) if event else None
                if shown and (_is_over(shown) or time.monotonic() > deadline):
                    return
        # A stream that ends early must not be asked for in a tight loop.
        await self.transport.sleep(0.1)

    async def _hear(self, event: ServerEvent) -> InjectionResource:
        """Show what an event changes; a keep-alive holds nothing, so read the injection again."""
        if event.id is None or event.data is None or self._shown is None:
            self._last_id = event.id or self._last_id
            return self._show(await self.read(self.injection))
        self._last_id = event.id
        return self._show(_changed(self._shown, event.data))

    def _show(self, current: InjectionResource) -> InjectionResource:
        if current != self._shown:
            self._shown = current
            self.on_progress(current)
        return current


def _is_over(injection: InjectionResource) -> bool:
    return injection.status in TERMINAL


def _check(injection: InjectionResource, deadline: float) -> None:
    if time.monotonic() > deadline:
        detail = f"injection {injection.id} is still {injection.status}"
        raise HeadgraftError(None, "timeout", detail)


class EventReader:
    """Reads the lines of an event stream; a comment is an event without id."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def feed(self, line: str) -> ServerEvent | None:
        """Take the next line; return the event that it ends, if any."""
        if line.startswith(":"):
            return ServerEvent()
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return None
        found, self._fields = self._fields, {}
        if "data" not in found or "id" not in found:
            return None
        try:
            return ServerEvent(found["id"], EVENT_DATA.validate_json(found["data"]))
        except ValidationError:
            return ServerEvent(found["id"])


def _changed(
    shown: InjectionResource, event: StatusEvent | ProgressEvent | DamageEvent
) -> InjectionResource:
    """Return the injection as it is after an event."""
    changed = event.model_dump(include=CHANGED)
    if isinstance(event, StatusEvent) and event.status != "queued":
        changed["queue_position"] = None
    return shown.model_copy(update=changed)

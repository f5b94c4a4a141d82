"""Follows one injection through its event stream, and by polling where there is none.

It does not know what the events say, but that a terminal status is the last.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from service.client_errors import HeadgraftError
from workers.jobs import TERMINAL

SILENCE_SECONDS = 40.0  # the service speaks at least every 15 s
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class ServerEvent:
    """One event of a stream; an `id` of None is a sign of life without content."""

    id: str | None
    data: dict[str, Any]


@dataclass
class Watch:
    """One injection, followed across broken connections and restarts of the service."""

    http: httpx.Client
    read: Callable[[str], dict[str, Any]]
    injection: str
    on_progress: Callable[[dict[str, Any]], None]
    _last_id: str | None = field(default=None, init=False)
    _shown: dict[str, Any] = field(default_factory=dict, init=False)

    def to_the_end(self, timeout_seconds: float | None) -> dict[str, Any]:
        """Return the injection once it has ended; HeadgraftError `timeout` where it lasts."""
        deadline = time.monotonic() + (timeout_seconds or float("inf"))
        while not self._is_over(self._poll()):
            self._check(deadline)
            try:
                self._listen(deadline)
            except (httpx.TransportError, HeadgraftError):  # the next poll shows a lasting one
                time.sleep(POLL_SECONDS)
        return self._shown

    def _poll(self) -> dict[str, Any]:
        """Read the injection; a service that is away has a minute to come back."""
        patience = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self._show(self.read(self.injection))
            except HeadgraftError as error:
                is_away = error.status in (None, httpx.codes.SERVICE_UNAVAILABLE)
                if not is_away or time.monotonic() > patience:
                    raise
                time.sleep(POLL_SECONDS)
            else:
                return self._shown

    def _listen(self, deadline: float) -> None:
        """Hear events until the last one, a break, or the deadline."""
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        left = max(0.1, min(SILENCE_SECONDS, deadline - time.monotonic()))
        address = f"/v1/injections/{self.injection}/events"
        with self.http.stream("GET", address, headers=headers, timeout=left) as reply:
            if not reply.is_success:
                time.sleep(POLL_SECONDS)
                return
            for event in parse(reply.iter_lines()):
                if event.id is None:
                    self._show(self.read(self.injection))  # the place in the queue is no event
                else:
                    self._last_id = event.id
                    self._show({**self._shown, **_fields(event.data)})
                if self._is_over(self._shown) or time.monotonic() > deadline:
                    return
        time.sleep(0.1)  # a stream that ends early must not be asked for in a tight loop

    def _check(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            detail = f"injection {self.injection} is still {self._shown['status']}"
            raise HeadgraftError(None, "timeout", detail)

    def _show(self, current: dict[str, Any]) -> None:
        if current != self._shown:
            self._shown = current
            self.on_progress(dict(current))

    def _is_over(self, current: dict[str, Any]) -> bool:
        return current.get("status") in TERMINAL


def parse(lines: Iterator[str]) -> Iterator[ServerEvent]:
    """Read the lines of an event stream; a comment is an event without id."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            yield ServerEvent(None, {})
        elif line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields and "id" in fields:
            yield ServerEvent(fields["id"], json.loads(fields["data"]))
            fields = {}


def _fields(event: dict[str, Any]) -> dict[str, Any]:
    """Return what an event changes of the injection as shown."""
    known = ("status", "attempt", "progress", "stage", "loss", "error")
    changed = {name: event[name] for name in known if name in event}
    if event.get("status", "queued") != "queued":
        changed["queue_position"] = None
    return changed

"""A client that follows one job's events over HTTP, whatever happens to the service meanwhile."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.fundamentals import client


@dataclass
class Follower:
    """Follows from the start and comes back with Last-Event-ID whenever it is cut off."""

    url: str
    job: str
    events: list[dict[str, Any]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self) -> None:
        while not self._read_until_cut_off():
            time.sleep(0.1)

    def _read_until_cut_off(self) -> bool:
        headers = {"Last-Event-ID": self.seen[-1]} if self.seen else {}
        address = f"{self.url}/v1/injections/{self.job}/events"
        try:
            with httpx.stream("GET", address, headers=headers, timeout=20) as reply:
                self.connections += 1
                return reply.status_code == 200 and self._take(reply.iter_lines())
        except httpx.TransportError:
            return False

    def _take(self, lines: Iterator[str]) -> bool:
        event: dict[str, str] = {}
        for line in lines:
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
            elif "data" in event:
                self.seen.append(event["id"])
                self.events.append(json.loads(event["data"]))
                if self.events[-1].get("status") in client.TERMINAL:
                    return True
                event = {}
        return False

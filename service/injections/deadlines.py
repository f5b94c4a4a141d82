"""Ends the jobs whose deadline passes while no worker runs them.

A thread of every API process looks once a second; what it does is safe to do twice. It does not
know of jobs without a deadline.
"""

import threading

import structlog

from headgraft.workers.ledger.ledger import GROUP, Ledger
from headgraft.workers.ledger.scripts import LedgerError

PERIOD_SECONDS = 1.0
# A worker ends its own job in this time, its thread's last steps included.
PATIENCE_SECONDS = 30.0
AT_ONCE = 100
log = structlog.get_logger("headgraft.deadlines")


class Deadlines:
    """The thread that keeps them; `close` ends it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="deadlines", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End; returns when the thread has ended, or after the time of a call of the ledger."""
        self._closed.set()
        self._thread.join(2.0)

    def _keep(self) -> None:
        while not self._closed.wait(PERIOD_SECONDS):
            try:
                enforce(self._ledger)
            except LedgerError as error:
                log.warning("deadlines_not_kept", error=str(error))


def enforce(ledger: Ledger, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """End what is late by the ledger's clock."""
    seconds, _ = ledger.ask("time")
    deadlines = ledger.key("deadlines")
    late = ledger.ask("zrangebyscore", deadlines, "-inf", (seconds + 1) * 1000, 0, AT_ONCE)
    for job in late:
        keys = [ledger.key("job", job), ledger.key("queue"), ledger.key("events", job), deadlines]
        ending = (GROUP, ledger.key("wake"), ledger.retention_ms)
        ledger.run("expire", keys, *ending, job, int(patience_seconds * 1000))

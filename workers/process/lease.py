"""The thread that renews the lease of a running job and sends its progress to Redis."""

import threading
import time

import structlog

from headgraft.workers.background import Loop
from headgraft.workers.jobs.events import StepProgress
from headgraft.workers.ledger.ledger import Answer, Ledger
from headgraft.workers.ledger.scripts import LedgerError, LedgerFullError

TICK_SECONDS = 0.25
RENEWALS_A_LEASE = 4

log = structlog.get_logger()


class LeaseRenewer:
    """Renews a job's lease four times in its length, and sends progress every quarter of a second.

    Either may answer that the job is cancelled or another worker's: then `stop` is set.
    Where Redis does not answer for longer than the lease, the verdict is `lost`: another worker may
    have the job by then. `loop` is the thread's, the same for every job of a worker.
    """

    def __init__(
        self,
        ledger: Ledger,
        job: str,
        *,
        consumer: str,
        token: str,
        lease_seconds: float,
        stop: threading.Event,
        loop: Loop,
    ) -> None:
        self.verdict: Answer = "ok"
        self._ledger, self._job = ledger, job
        self._consumer, self._token = consumer, token
        self._lease_seconds = lease_seconds
        self._stop = stop
        self._loop = loop
        self._closed = threading.Event()
        self._step: StepProgress | None = None
        self._answered = self._renewed = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"renewer-{job}", daemon=True)

    def start(self) -> None:
        """Begin to renew the lease."""
        self._answered = self._renewed = time.monotonic()
        self._thread.start()

    def note(self, fraction: float, stage: str, loss: float | None) -> None:
        """Take a step's progress; only the latest of each tick travels."""
        self._step = StepProgress(fraction, stage, loss)

    def close(self) -> None:
        """Stop renewing; returns when the thread has ended."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        self._loop.run(self._renew_until_closed, self._closed)

    def _renew_until_closed(self) -> None:
        while not self._closed.wait(TICK_SECONDS):
            self._loop.note_round()
            answer = self._renew(time.monotonic())
            if answer != "ok":
                self.verdict = answer
                self._stop.set()
                return

    def _renew(self, now: float) -> Answer:
        due = now - self._renewed >= self._lease_seconds / RENEWALS_A_LEASE
        try:
            answer = self._ask(due)
        except Exception as error:
            # Whatever keeps it from asking: after the lease the job may be another's.
            if now - self._answered > self._lease_seconds:
                log.warning("lease_lost", error=str(error))
                return "lost"
            if not isinstance(error, LedgerError):
                raise
            log.warning("redis_away", error=str(error))
            return "ok"
        self._answered, self._renewed = now, now if due else self._renewed
        return answer

    def _ask(self, due: bool) -> Answer:
        step, self._step = self._step, None
        try:
            answer = self._ledger.progress(self._job, self._token, step)
        except LedgerFullError:
            # A full Redis takes no progress, but it does renew leases.
            answer = self._ledger.progress(self._job, self._token, None)
        if answer == "ok" and due:
            answer = self._ledger.renew(self._job, self._consumer, self._token)
        return answer

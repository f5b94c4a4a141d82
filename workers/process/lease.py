"""The thread that renews the lease of a running job and sends its progress to Redis."""

import threading
import time

import structlog

from headgraft.workers.jobs.events import StepProgress
from headgraft.workers.ledger.ledger import Answer, Ledger
from headgraft.workers.ledger.scripts import LedgerError

TICK_SECONDS = 0.25
RENEWALS_A_LEASE = 4

log = structlog.get_logger()


class LeaseRenewer:
    """Renews a job's lease four times in its length, and sends progress every quarter of a second.

    Either may answer that the job is cancelled or another worker's: then `stop` is set.
    Where Redis does not answer for longer than the lease, the verdict is `lost`: another worker may
    have the job by then.
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
    ) -> None:
        self.verdict: Answer = "ok"
        self._ledger, self._job = ledger, job
        self._consumer, self._token = consumer, token
        self._lease_seconds = lease_seconds
        self._stop = stop
        self._closed = threading.Event()
        self._step: StepProgress | None = None
        self._thread = threading.Thread(
            target=self._renew_until_closed, name=f"renewer-{job}", daemon=True
        )

    def start(self) -> None:
        """Begin to renew the lease."""
        self._thread.start()

    def note(self, fraction: float, stage: str, loss: float | None) -> None:
        """Take a step's progress; only the latest of each tick travels."""
        self._step = StepProgress(fraction, stage, loss)

    def close(self) -> None:
        """Stop renewing; returns when the thread has ended."""
        self._closed.set()
        self._thread.join()

    def _renew_until_closed(self) -> None:
        answered = renewed = time.monotonic()
        while not self._closed.wait(TICK_SECONDS):
            now = time.monotonic()
            due = now - renewed >= self._lease_seconds / RENEWALS_A_LEASE
            try:
                answer = self._ask(due)
                answered, renewed = now, now if due else renewed
            except LedgerError as error:
                log.warning("redis_away", error=str(error))
                answer = "lost" if now - answered > self._lease_seconds else "ok"
            if answer != "ok":
                self.verdict = answer
                self._stop.set()
                return

    def _ask(self, due: bool) -> Answer:
        step, self._step = self._step, None
        answer = self._ledger.progress(self._job, self._token, step)
        if answer == "ok" and due:
            answer = self._ledger.renew(self._job, self._consumer, self._token)
        return answer

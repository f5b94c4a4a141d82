"""A worker's child process: warm, on one device, one job at a time."""

import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

import structlog

from headgraft.workers import faults, logs
from headgraft.workers.background import Loop
from headgraft.workers.config import WorkerSettings
from headgraft.workers.environment import read_or_exit
from headgraft.workers.jobs.presence import EncoderPresence, Presence
from headgraft.workers.ledger.connections import connect
from headgraft.workers.ledger.ledger import ClaimedJob, Ledger
from headgraft.workers.ledger.scripts import LedgerError
from headgraft.workers.process.attempt import Attempt, MustExitError, WorkerContext
from headgraft.workers.run.job import EncoderRegistry
from headgraft.workers.run.publish import versions
from headgraft.workers.store import Store, StoreError
from headgraft.workers.torch_files.convert import ConversionLimits

BLOCK_SECONDS = 1.0
ANNOUNCE_SECONDS = 4.0
CPU_NICENESS = 10
EXIT_HUNG = 70
EXIT_NO_STORE = 2

log = structlog.get_logger()


class Child:
    """Claims and runs jobs until told to drain."""

    def __init__(self, settings: WorkerSettings, device: str, *, replaced: int = 0) -> None:
        self.settings = settings
        self.replaced = replaced
        self.announcer = Loop("announcer")
        # An encoder may take as long as its disk does.
        self.warm = Loop("warm", round_seconds_max=float("inf"))
        self.draining = threading.Event()
        self.gone = threading.Event()
        redis_url = settings.redis_url.get_secret_value()
        ledger = Ledger(connect(redis_url), retention_seconds=settings.retention_seconds)
        no_retry_ledger = Ledger(connect(redis_url, retries=0))
        self.context = WorkerContext(
            ledger=ledger,
            no_retry_ledger=no_retry_ledger,
            store=Store(settings.store_url),
            registry=EncoderRegistry(settings.encoders, settings.cache, device),
            device=device,
            consumer=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}",
            lease_seconds=settings.lease_seconds,
            limits=ConversionLimits(settings.convert_memory_bytes, settings.convert_seconds),
            claims=Loop("claims"),
            lease=Loop("lease"),
        )

    def drain(self, *_signal: object) -> None:
        """Claim nothing more; the running job has its grace time from now."""
        self.context.grace_until = time.monotonic() + self.settings.grace_seconds
        self.draining.set()

    def serve(self) -> None:
        """Run jobs until drained; MustExitError when this process must be replaced."""
        announcer = self._start(self.announcer, self._announce)
        self._start(self.warm, self._warm)
        try:
            while not self.draining.is_set():
                self.context.claims.note_round()
                claim = self._claim()
                if claim:
                    self._attempt(claim)
        finally:
            self.gone.set()
            announcer.join()

    def _start(self, loop: Loop, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(
            target=loop.run, args=(work, self.gone), name=loop.name, daemon=True
        )
        thread.start()
        return thread

    def _claim(self) -> ClaimedJob | None:
        try:
            return self.context.ledger.claim(
                self.context.consumer,
                lease_seconds=self.settings.lease_seconds,
                block_seconds=BLOCK_SECONDS,
            )
        except LedgerError as error:
            log.warning("redis_away", error=str(error))
            self.draining.wait(BLOCK_SECONDS)
            return None

    def _attempt(self, claim: ClaimedJob) -> None:
        token = secrets.token_hex(16)
        context = self.context
        faults.point("before_begin")
        ledger, retry = context.ledger, context.retry_until_redis_answers
        begun = retry(lambda: ledger.begin(claim, context.consumer, token))
        record = retry(lambda: ledger.get(claim.job))
        if begun != "begun" or record is None:
            log.info("not_begun", job=claim.job, answer=begun)
            return
        with structlog.contextvars.bound_contextvars(
            job=record.id,
            owner=record.owner,
            attempt=record.attempt,
            token=token[:8],
            **record.origin,
        ):
            log.info("job_begun", worker=context.consumer)
            faults.point("after_begin")
            Attempt(context, record, token).run()

    def _announce(self) -> None:
        """Say every few seconds that this worker lives, and take it back at the end."""
        presence = Presence(
            name=self.context.consumer,
            device=self.context.device,
            versions=versions(),
            encoders={
                name: EncoderPresence(dimension=info.dimension, digest=info.digest, kind=info.kind)
                for name, info in self.context.registry.installed().items()
            },
            replaced=self.replaced,
        )
        loops = (self.context.claims, self.context.lease, self.announcer, self.warm)
        while True:
            self.announcer.note_round()
            presence.loops = {loop.name: loop.state for loop in loops}
            try:
                self.context.no_retry_ledger.announce(presence)
            except LedgerError as error:
                log.warning("redis_away", error=str(error))
            if self.gone.wait(ANNOUNCE_SECONDS):
                break
        try:
            self.context.no_retry_ledger.withdraw(presence.name)
        except LedgerError as error:
            log.warning("redis_away", error=str(error))

    def _warm(self) -> None:
        """Load the encoders before a job asks; a broken one fails the jobs that name it."""
        for name in self.context.registry.installed():
            self.warm.note_round()
            try:
                self.context.registry.get(name)
            except Exception:
                log.exception("encoder_unusable", encoder=name)


def main(arguments: list[str]) -> int:
    """Run one child on the device named first; 0 when drained, 70 when it must be replaced.

    Behind the device may stand how many children it replaces.
    """
    device = arguments[0] if arguments else "cpu"
    replaced = int(arguments[1]) if len(arguments) > 1 else 0
    settings = read_or_exit(WorkerSettings)
    logs.configure(settings.log_level)
    if device == "cpu":
        os.nice(CPU_NICENESS)
    try:
        child = Child(settings, device, replaced=replaced)
    except StoreError as error:
        log.error("store_unusable", error=str(error))
        return EXIT_NO_STORE
    signal.signal(signal.SIGTERM, child.drain)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child.serve()
    except MustExitError as reason:
        log.error("must_exit", reason=str(reason))
        sys.stderr.flush()
        # A thread that does not end would keep the interpreter alive at exit.
        os._exit(EXIT_HUNG)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

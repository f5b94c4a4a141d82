"""One attempt at one job: run it in a thread, watch it, commit its result behind the token."""

import errno
import hashlib
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeVar

import structlog
import torch

from headgraft.models.errors import InjectionError
from headgraft.models.progress import Progress, Stopped
from headgraft.workers import faults
from headgraft.workers.background import Loop
from headgraft.workers.jobs.manifest import EncoderUsed, Manifest
from headgraft.workers.jobs.spec import JobError, JobSpec, Record
from headgraft.workers.ledger.ledger import Answer, Ledger
from headgraft.workers.ledger.scripts import LedgerError
from headgraft.workers.process.lease import LeaseRenewer
from headgraft.workers.run.job import EncoderRegistry, run_job
from headgraft.workers.run.publish import publish
from headgraft.workers.store import Damaged, Store, StoreError
from headgraft.workers.torch_files.convert import ConversionLimits

STOP_SECONDS = 10.0
WATCH_SECONDS = 0.05
PAUSE_MAX_SECONDS = 2.0

Reason = Literal["cancelled", "lost", "timeout", "drained"]
T = TypeVar("T")
log = structlog.get_logger()


class MustExitError(Exception):
    """This process cannot go on: a job's thread does not end, or its device is dead."""


@dataclass
class WorkerContext:
    """What a child process runs its attempts with; `no_retry_ledger` renews leases.

    `claims` is the loop of the main thread, `lease` that of the thread that renews leases.
    """

    ledger: Ledger
    no_retry_ledger: Ledger
    store: Store
    registry: EncoderRegistry
    device: str
    consumer: str
    lease_seconds: float
    limits: ConversionLimits
    claims: Loop
    lease: Loop
    grace_until: float = float("inf")

    def retry_until_redis_answers(self, call: Callable[[], T]) -> T:
        """Repeat a ledger call until Redis answers; MustExitError past a drain's grace time."""
        pause_seconds = 0.1
        while True:
            self.claims.note_round()
            try:
                return call()
            except LedgerError as error:
                if time.monotonic() > self.grace_until:
                    raise MustExitError("Redis did not answer within the grace time") from error
                log.warning("redis_away", error=str(error))
                time.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, PAUSE_MAX_SECONDS)


@dataclass
class Outcome:
    """What the run's thread leaves behind: a manifest, or why there is none."""

    manifest: Manifest | None = None
    error: JobError | None = None
    device_dead: bool = False


@dataclass
class Attempt:
    """A begun attempt; `run` returns when the job is committed, failed, released or refused."""

    context: WorkerContext
    record: Record
    token: str
    stop: threading.Event = field(default_factory=threading.Event)
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def prefix(self) -> str:
        """Where this attempt, and nobody else, writes."""
        return f"{self.record.owner}/{self.record.id}/{self.token}/"

    def run(self) -> None:
        """Run the job to its end; MustExitError when this process must end with it."""
        self.renewer = LeaseRenewer(
            self.context.no_retry_ledger,
            self.record.id,
            consumer=self.context.consumer,
            token=self.token,
            lease_seconds=self.context.lease_seconds,
            stop=self.stop,
            loop=self.context.lease,
        )
        self.renewer.start()
        # A thread begins without the context that log lines take job and trace from.
        work = copy_context().run
        thread = threading.Thread(target=work, args=(self._work,), name=self.record.id, daemon=True)
        thread.start()
        try:
            reason = self._watch(thread)
            self._conclude(reason, hung=thread.is_alive())
        finally:
            self.renewer.close()
        if thread.is_alive() or self.outcome.device_dead:
            raise MustExitError(reason or "device_dead")

    def _watch(self, thread: threading.Thread) -> Reason | None:
        """Wait for the thread; say why it was told to stop, None when it ended by itself."""
        deadline = time.monotonic() + self.record.seconds_allowed
        while thread.is_alive():
            thread.join(WATCH_SECONDS)
            self.context.claims.note_round()
            reason = self._why_stop(time.monotonic(), deadline)
            if reason:
                self.stop.set()
                thread.join(STOP_SECONDS)
                return reason
        return None

    def _why_stop(self, now: float, deadline: float) -> Reason | None:
        if self.renewer.verdict != "ok":
            return self.renewer.verdict
        if now > deadline:
            return "timeout"
        return "drained" if now > self.context.grace_until else None

    def _conclude(self, reason: Reason | None, *, hung: bool) -> None:
        answer = self._answer(reason, hung=hung)
        log.info("job_ended", reason=reason, answer=answer, hung=hung)
        committed = answer == "ok" and self.outcome.manifest is not None and not hung
        if not committed:
            self._discard()

    def _answer(self, reason: Reason | None, *, hung: bool) -> Answer:
        ledger, job, token = self.context.ledger, self.record.id, self.token
        retry = self.context.retry_until_redis_answers
        manifest, error = self.outcome.manifest, self.outcome.error
        if manifest and not hung:
            faults.point("before_commit")
            return retry(lambda: ledger.succeed(job, token, manifest))
        if reason == "timeout":
            late = _late(self.record)
            return retry(lambda: ledger.fail(job, token, late))
        if reason == "drained" or self.outcome.device_dead:
            counts = self.outcome.device_dead
            return retry(lambda: ledger.release(job, token, counts=counts))
        if error and reason is None:
            return retry(lambda: ledger.fail(job, token, error))
        return self.renewer.verdict

    def _discard(self) -> None:
        try:
            self.context.store.delete(self.prefix)
        except StoreError as error:
            log.warning("artifacts_left_to_the_janitor", prefix=self.prefix, error=str(error))

    def _work(self) -> None:
        try:
            self.outcome.manifest = self._produce()
        except Stopped:
            return
        except BaseException as error:  # a method that raises SystemExit must not end in silence
            self.outcome.device_dead = isinstance(error, torch.AcceleratorError) and not isinstance(
                error, torch.OutOfMemoryError
            )
            self.outcome.error = _job_error(error, self.record.id)

    def _produce(self) -> Manifest:
        progress = Progress(self.renewer.note, self.stop)
        spec = self._read_spec()
        with TemporaryDirectory(prefix="headgraft-") as scratch:
            folder = Path(scratch)
            fetch = self.context.store.fetch
            fetched = fetch(spec.head.path, folder, spec.head.sha256)
            given = spec.features
            features = fetch(given.path, folder, given.sha256) if given else None
            output = folder / "out"
            output.mkdir()
            report, page = run_job(
                spec,
                fetched,
                output,
                registry=self.context.registry,
                device=self.context.device,
                limits=self.context.limits,
                progress=progress,
                features=features,
            )
            progress(1.0, "publish")
            encoder = self._encoder(spec)
            return publish(self.context.store, output, self.prefix, report, page, encoder)

    def _read_spec(self) -> JobSpec:
        text, wanted = self.context.store.read(self.record.spec), self.record.spec_sha256
        if wanted not in (None, hashlib.sha256(text).hexdigest()):
            raise Damaged(self.record.spec)
        return JobSpec.model_validate_json(text)

    def _encoder(self, spec: JobSpec) -> EncoderUsed | None:
        name = spec.class_embeddings.encoder
        if name is None:
            return None
        return EncoderUsed(name=name, digest=self.context.registry.get(name).info.digest)


def _late(record: Record) -> JobError:
    seconds = record.timeout_seconds
    if record.seconds_allowed < seconds:
        return JobError(code="deadline", message="the job did not end by its deadline")
    text = f"the job did not end within its timeout_seconds, {seconds}"
    return JobError(code="timeout", message=text)


def _job_error(error: BaseException, job: str) -> JobError:
    """Map an exception to the job's error; a user error keeps its text, others show the job id."""
    if isinstance(error, InjectionError):
        return JobError(code=error.code, message=str(error))
    if _is_out_of_memory(error):
        return JobError(
            code="out_of_memory", message=f"the device's memory did not suffice: {error}"
        )
    log.exception("job_error")
    if isinstance(error, Damaged):
        name = str(error).rpartition("/")[2]
        return JobError(
            code="artifact_damaged",
            message=f"the artifact store no longer has the bytes of {name} that were uploaded: "
            "upload them again",
        )
    if isinstance(error, StoreError):
        return JobError(code="store_error", message=f"the artifact store failed: {error}")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return JobError(code="scratch_full", message="the worker's scratch disk is full")
    return JobError(code="internal_error", message=f"internal error in job {job}")


def _is_out_of_memory(error: BaseException) -> bool:
    on_cpu = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return on_cpu or isinstance(error, torch.OutOfMemoryError | MemoryError)

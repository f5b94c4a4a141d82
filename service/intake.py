"""Takes submissions in: from the body on the wire to files in the store and a record.

A refused or broken submission leaves nothing behind. It does not know how answers look.
"""

import json
import secrets
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from anyio import CancelScope, to_thread
from fastapi import Request

from service import kept
from service.auth import Identity
from service.context import Context, identity_of
from service.problems import invalid_at
from service.requests import HeadRequest, InjectionRequest
from service.room import require_room
from service.submission import Found, Rules, find, stored_head, summarize
from service.uploads import Limits, Receiver, Submission
from workers.header import Header
from workers.jobs import (
    FeaturesRecord,
    HeadRecord,
    JobSpec,
    QuotaError,
    Record,
    StoredFeatures,
    StoredHead,
)
from workers.ledger import Ledger
from workers.store import Store, StoreError

REQUEST_FILE = "request.json"
log = structlog.get_logger("headgraft.intake")


def fresh_id(kind: str) -> str:
    """Return an id that nobody can guess: kind, underscore, 24 hexadecimal digits."""
    return f"{kind}_{secrets.token_hex(12)}"


def limits_of(context: Context, request: Request) -> Limits:
    """Return the sizes that the operator allows whoever sent the request."""
    settings, allowed = context.settings, identity_of(request).limits
    upload = allowed.upload_bytes or settings.upload_bytes_max
    return Limits(upload=upload, request=settings.request_bytes_max)


def origin(request: Request) -> dict[str, str]:
    """Return what a job keeps of the request it came with, for the worker's log lines."""
    state = request.state
    return {"request_id": state.request_id, "traceparent": state.trace.traceparent}


async def take_injection(context: Context, owner: str, request: Request) -> Record:
    """Receive, check, store and queue one injection; return its record as it was queued."""
    # First of all, so that with Redis away nobody uploads gigabytes for a 503.
    await require_room(context, request, for_job=True)
    workers = await to_thread.run_sync(context.ledger.workers)
    rules = Rules(context.methods, workers)
    job = fresh_id("inj")
    upload = f"{owner}/uploads/{job}/"

    def examine(asked: InjectionRequest, header: Header | None) -> Collection[str]:
        _refuse_both(asked)
        found = find(asked, header)
        rules.check(asked, found, _kept_features(context, owner, asked))
        return head_names(found)

    receiver = Receiver(
        InjectionRequest,
        store=context.store,
        folder=upload,
        limits=limits_of(context, request),
        examine=examine,
    )
    async with nothing_left(context.store, [upload, f"{owner}/{job}/"]) as files:
        submission = await receiver.receive(request)
        intake = _Intake(context, identity_of(request), rules, files)
        return await to_thread.run_sync(intake.queue, job, submission, origin(request))


class _Intake:
    """The part of an intake behind the upload; it blocks, so it runs in a thread."""

    def __init__(self, context: Context, who: Identity, rules: Rules, files: "Files") -> None:
        self._files = files
        self._context = context
        self._ledger: Ledger = context.ledger
        self._owner = who.owner
        self._quota = who.limits.quota
        self._rules = rules

    def queue(
        self, job: str, submission: Submission[InjectionRequest], origin: Mapping[str, str]
    ) -> Record:
        asked = submission.request
        if asked is None:
            raise invalid_at("", "the part request is missing: it holds the injection as JSON")
        head = self._head(asked, submission)
        features = _kept_features(self._context, self._owner, asked)
        self._rules.check(asked, Found(head.tensors, head.class_names), features)
        said = asked.model_dump(include=set(JobSpec.model_fields) - {"head", "features"})
        spec = JobSpec(head=head, features=features, **said)
        queued = Record(
            id=job,
            owner=self._owner,
            status="queued",
            attempt=0,
            timeout_seconds=asked.timeout_seconds,
            spec=f"{self._owner}/{job}/{REQUEST_FILE}",
            summary=summarize(asked, head, features),
            created_at=int(time.time() * 1000),
            message="",
            metadata=asked.metadata,
        )
        document = spec.model_dump_json().encode()
        self._context.store.write(queued.spec, document)
        # From here on the job may exist even if we never hear so: its files are not ours to
        # delete any more. If it does not, the janitor finds that no record names them.
        self._files.stay = True
        uploaded = submission.checkpoint.bytes if submission.checkpoint else 0
        said = {"metadata": json.dumps(asked.metadata), **origin}
        self._create(queued, asked.deadline_seconds, said, len(document) + uploaded)
        self._context.metrics.note_injection()
        return queued

    def _create(
        self,
        queued: Record,
        deadline_seconds: int | None,
        fields: Mapping[str, str],
        bytes_stored: int,
    ) -> None:
        try:
            self._ledger.create(
                queued.id,
                queued.owner,
                spec=queued.spec,
                summary=queued.summary,
                timeout_seconds=queued.timeout_seconds,
                deadline_seconds=deadline_seconds,
                fields=fields,
                bytes_stored=bytes_stored,
                quota=self._quota,
            )
        except QuotaError:
            self._files.stay = False
            raise

    def _head(
        self, asked: InjectionRequest, submission: Submission[InjectionRequest]
    ) -> StoredHead:
        if submission.checkpoint is None:
            return self._kept_head(asked)
        _refuse_both(asked)
        return received_head(asked, submission)

    def _kept_head(self, asked: InjectionRequest) -> StoredHead:
        if asked.head_id is None:
            detail = "no head to extend: send the part checkpoint, or a head_id from POST /v1/heads"
            raise invalid_at("/head_id", detail)
        for field in ("class_names", "head"):
            if field in asked.model_fields_set:
                raise invalid_at(f"/{field}", f"{field} was said with the head of head_id already")
        record = kept.find(self._ledger, HeadRecord, asked.head_id, self._owner)
        if record is None:
            raise invalid_at("/head_id", f"there is no head {asked.head_id!r}")
        return StoredHead.model_validate(record.head)


def _kept_features(context: Context, owner: str, asked: InjectionRequest) -> StoredFeatures | None:
    if asked.features_id is None:
        return None
    record = kept.find(context.ledger, FeaturesRecord, asked.features_id, owner)
    if record is None:
        raise invalid_at("/features_id", f"there are no features {asked.features_id!r}")
    return StoredFeatures.model_validate(record.features)


def _refuse_both(asked: InjectionRequest) -> None:
    if asked.head_id is not None:
        raise invalid_at("/head_id", "head_id and a checkpoint part: give one of them")


async def take_head(context: Context, owner: str, request: Request) -> HeadRecord:
    """Receive, check and keep one head; return its record."""
    await require_room(context, request, for_job=False)
    head = fresh_id("head")
    folder = f"{owner}/uploads/{head}/"
    receiver = Receiver(
        HeadRequest,
        store=context.store,
        folder=folder,
        limits=limits_of(context, request),
        examine=lambda asked, header: head_names(find(asked, header)),
    )
    async with nothing_left(context.store, [folder]):
        submission = await receiver.receive(request)
        asked = submission.request or HeadRequest()
        stored = received_head(asked, submission)
        record = HeadRecord(
            id=head,
            owner=owner,
            created_at=int(time.time() * 1000),
            head=stored.model_dump(mode="json"),
        )
        quota = identity_of(request).limits.quota
        await to_thread.run_sync(kept.keep, context.ledger, record, quota)
    return record


def head_names(found: Found) -> Collection[str]:
    """Return the names of a head's tensors, as far as they are known."""
    if found.tensors is None:
        return []
    return [name for name in (found.tensors.weight, found.tensors.bias) if name]


def received_head(
    asked: HeadRequest,
    submission: Submission[InjectionRequest] | Submission[HeadRequest],
) -> StoredHead:
    """Describe the head of a received file; refuse it when it is not there or not finite."""
    checkpoint = submission.checkpoint
    if checkpoint is None:
        raise invalid_at("", "the part checkpoint is missing: it holds the file")
    found = find(asked, checkpoint.header)
    if found.tensors:
        checkpoint.check_finite(found.tensors)
    return stored_head(asked, found, checkpoint, submission.path)


@dataclass
class Files:
    """What a submission wrote; once `stay` is set, a failure no longer deletes it."""

    stay: bool = False


@asynccontextmanager
async def nothing_left(store: Store, prefixes: Collection[str]) -> AsyncIterator[Files]:
    """Delete what lies under the prefixes when the block fails, whatever ends it."""
    files = Files()
    try:
        yield files
    except BaseException:
        if files.stay:
            raise
        # A client that goes away cancels us; the cleaning must not be cancelled with us.
        with CancelScope(shield=True):
            for prefix in prefixes:
                await _clean(store, prefix)
        raise


async def _clean(store: Store, prefix: str) -> None:
    try:
        await to_thread.run_sync(store.delete, prefix)
    except StoreError as error:
        log.warning("refused_upload_not_deleted", prefix=prefix, error=str(error))

"""Creates an injection: from the request on the wire to a queued job, or a copied result."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from anyio import to_thread
from fastapi import Request

from headgraft.service.injections import reuse
from headgraft.service.injections.rules import InjectionValidator, summarize
from headgraft.service.schemas.requests import InjectionRequest
from headgraft.service.uploads import repository
from headgraft.service.uploads.checkpoints import Checkpoint
from headgraft.service.uploads.intake import (
    UploadedFiles,
    check_quota,
    delete_on_error,
    fresh_id,
)
from headgraft.service.uploads.locate_head import LocatedHead, locate_head, stored_head
from headgraft.service.uploads.receiver import UploadReceiver
from headgraft.service.web.auth import Identity
from headgraft.service.web.context import Context, identity_of
from headgraft.service.web.idempotency import IdempotencyLock, in_flight
from headgraft.service.web.problems import ProblemError, invalid_at
from headgraft.workers.jobs.manifest import folders
from headgraft.workers.jobs.presence import Presence
from headgraft.workers.jobs.spec import (
    FeaturesRecord,
    HeadRecord,
    JobSpec,
    Record,
    StoredFeatures,
    StoredHead,
)
from headgraft.workers.ledger.quota import QuotaError
from headgraft.workers.ledger.scripts import Key, LedgerFullError
from headgraft.workers.store import Damaged

REQUEST_FILE = "request.json"
log = structlog.get_logger("headgraft.create")
Upload = UploadReceiver[InjectionRequest, Checkpoint]


@dataclass(frozen=True)
class CheckedInjection:
    """A request that can run, with the head it extends and the workers it was checked against."""

    document: InjectionRequest
    located: LocatedHead
    kept_head: StoredHead | None
    features: StoredFeatures | None
    workers: Sequence[Presence]


@dataclass(frozen=True)
class InjectionJob:
    """A job to create; `spec_json` is its spec as the worker reads it.

    `digest` is equal for requests that have equal results, `fingerprint` for equal requests.
    """

    record: Record
    spec: JobSpec
    spec_json: bytes
    digest: str
    fingerprint: str
    bytes_stored: int


async def create_injection_job(
    context: Context, request: Request, lock: IdempotencyLock, upload: Upload
) -> Record:
    """Receive, check, store and queue one injection; return its record as it was queued."""
    # Before the body is read, so that with Redis away nobody uploads gigabytes for a 503.
    await check_quota(context, request, for_job=True)
    identity, name = identity_of(request), fresh_id("inj")
    validator = InjectionValidator(context.methods, await context.ledger.workers())
    artifacts, uploads = folders(identity.owner, name)
    async with delete_on_error(context.store, uploads, artifacts) as files:
        await upload.read_start()
        # Where the request document came first, a refused file is not received at all.
        is_early = upload.document is not None and upload.reader is not None
        early = await _check(context, identity, validator, upload) if is_early else None
        names = early.located.tensor_names if early else None
        await upload.receive_file(context.store, uploads, names)
        checked = early or await _check(context, identity, validator, upload)
        job = await to_thread.run_sync(_build, name, identity, request, upload, checked)
        await to_thread.run_sync(context.store.write, job.record.spec, job.spec_json)
        await _queue(context, identity, lock, checked, job, files)
    context.metrics.note_injection()
    return job.record


async def _check(
    context: Context, identity: Identity, validator: InjectionValidator, upload: Upload
) -> CheckedInjection:
    """Return the request with its head and features; a 4xx problem where it cannot run."""
    document = upload.document
    if document is None:
        raise invalid_at("", "the part request is missing: it holds the injection as JSON")
    kept = None
    if upload.reader is None:
        kept = await _kept_head(context, identity.owner, document)
        located = LocatedHead(kept.tensors, kept.class_names)
    elif document.head_id is not None:
        raise invalid_at("/head_id", "head_id and a checkpoint part: give one of them")
    else:
        located = await to_thread.run_sync(locate_head, document, upload.reader.header)
    features = await _kept_features(context, identity.owner, document)
    await to_thread.run_sync(validator.validate, document, located, features)
    return CheckedInjection(document, located, kept, features, validator.workers)


async def _kept_head(context: Context, owner: str, document: InjectionRequest) -> StoredHead:
    if document.head_id is None:
        detail = "no head to extend: send the part checkpoint, or a head_id from POST /v1/heads"
        raise invalid_at("/head_id", detail)
    for field in ("class_names", "head", "key", "allow_ungrown"):
        if field in document.model_fields_set:
            raise invalid_at(f"/{field}", f"{field} was said with the head of head_id already")
    record = await repository.get(context.ledger, HeadRecord, document.head_id, owner, "/head_id")
    return record.head


async def _kept_features(
    context: Context, owner: str, document: InjectionRequest
) -> StoredFeatures | None:
    if document.features_id is None:
        return None
    name, pointer = document.features_id, "/features_id"
    record = await repository.get(context.ledger, FeaturesRecord, name, owner, pointer)
    return record.features


def _build(
    name: str, identity: Identity, request: Request, upload: Upload, checked: CheckedInjection
) -> InjectionJob:
    """Make spec and record of a checked request; HeaderError where its head is not finite."""
    document, owner = checked.document, identity.owner
    head = checked.kept_head or stored_head(document, checked.located, upload.required_file)
    wanted = document.model_dump(include=set(JobSpec.model_fields) - {"head", "features"})
    spec = JobSpec(head=head, features=checked.features, **wanted)
    spec_json = spec.model_dump_json().encode()
    record = Record(
        id=name,
        owner=owner,
        status="queued",
        attempt=0,
        timeout_seconds=document.timeout_seconds,
        spec=f"{owner}/{name}/{REQUEST_FILE}",
        spec_sha256=hashlib.sha256(spec_json).hexdigest(),
        summary=summarize(document, head, checked.features),
        created_at=int(time.time() * 1000),
        metadata=document.metadata,
        # For the worker's log lines.
        request_id=request.state.request_id,
        traceparent=request.state.trace.traceparent,
    )
    return InjectionJob(
        record=record,
        spec=spec,
        spec_json=spec_json,
        digest=reuse.digest_of(owner, spec),
        fingerprint=upload.fingerprint,
        bytes_stored=len(spec_json) + (upload.file.bytes if upload.file else 0),
    )


async def _queue(
    context: Context,
    identity: Identity,
    lock: IdempotencyLock,
    checked: CheckedInjection,
    job: InjectionJob,
    files: UploadedFiles,
) -> None:
    """Create the job in Redis, with the result of an identical request where there is one."""
    record, bytes_stored = job.record, job.bytes_stored
    result = context.ledger.key("result", job.digest)
    if copied := await _copy_result(context, checked, job, result):
        update = {"copied_from": copied.source, "manifest": copied.manifest}
        record, bytes_stored = record.model_copy(update=update), bytes_stored + copied.bytes
    # From here on the job may exist even if Redis does not answer: its files must stay. If it does
    # not exist, the janitor finds that no record names them.
    files.keep = True
    try:
        created = await context.ledger.create(
            record,
            result=result,
            deadline_seconds=checked.document.deadline_seconds,
            bytes_stored=bytes_stored,
            quota=identity.limits.quota,
            reservation=lock.reservation(job.fingerprint),
        )
        if created == "taken":
            raise in_flight()
    except (QuotaError, LedgerFullError, ProblemError):
        files.keep = False
        raise


async def _copy_result(
    context: Context, checked: CheckedInjection, job: InjectionJob, result: Key
) -> reuse.Copy | None:
    """Copy the result of an identical request, where there is one that still holds."""
    if not checked.document.reuse:
        return None
    owner, workers = job.record.owner, checked.workers
    source = await reuse.find(context.ledger, owner, result, job.spec, workers)
    if source is None:
        return None
    try:
        return await to_thread.run_sync(reuse.copy, context.store, source, job.record)
    except Damaged as error:
        name = str(error).rpartition("/")[2]
        log.error("artifact_damaged", job=source.id, file=name)
        await context.ledger.note_damage(source.id, name)
        return None

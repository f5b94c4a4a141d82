"""Takes injections in: from a submission to a job that is queued, or ended by an earlier result.

It does not know how answers look.
"""

import json
import time
from collections.abc import Collection

from anyio import to_thread
from fastapi import Request

from headgraft.service.injections import reuse
from headgraft.service.injections.rules import Rules, summarize
from headgraft.service.schemas.requests import InjectionRequest
from headgraft.service.uploads import repository
from headgraft.service.uploads.intake import (
    Files,
    fresh_id,
    head_names,
    limits_of,
    nothing_left,
    received_head,
    require_room,
)
from headgraft.service.uploads.locate_head import LocatedHead, locate_head
from headgraft.service.uploads.receiver import Receiver, Submission
from headgraft.service.web.auth import Identity
from headgraft.service.web.context import Context, identity_of
from headgraft.service.web.idempotency import Claim, in_flight
from headgraft.service.web.problems import invalid_at, not_found
from headgraft.workers.formats.header import Header
from headgraft.workers.jobs.quota import QuotaError, Reservation
from headgraft.workers.jobs.spec import (
    FeaturesRecord,
    HeadRecord,
    JobSpec,
    Record,
    StoredFeatures,
    StoredHead,
)
from headgraft.workers.ledger.scripts import LedgerFullError

REQUEST_FILE = "request.json"


async def take_injection(context: Context, owner: str, request: Request, claim: Claim) -> Record:
    """Receive, check, store and queue one injection; return its record as it was queued."""
    # First of all, so that with Redis away nobody uploads gigabytes for a 503.
    await require_room(context, request, for_job=True)
    workers = await to_thread.run_sync(context.ledger.workers)
    rules = Rules(context.methods, workers)
    job = fresh_id("inj")
    upload = f"{owner}/uploads/{job}/"

    def examine(asked: InjectionRequest, header: Header | None) -> Collection[str]:
        _refuse_both(asked)
        found = locate_head(asked, header)
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
        submission = await receiver.receive(request, claim.stream(request))
        intake = _Intake(context, identity_of(request), rules, files)
        return await to_thread.run_sync(intake.queue, job, submission, _origin(request), claim)


def _origin(request: Request) -> dict[str, str]:
    """Return what a job keeps of the request it came with, for the worker's log lines."""
    state = request.state
    return {"request_id": state.request_id, "traceparent": state.trace.traceparent}


class _Intake:
    """The part of an intake behind the upload; it blocks, so it runs in a thread."""

    def __init__(self, context: Context, who: Identity, rules: Rules, files: Files) -> None:
        self._files = files
        self._context = context
        self._owner = who.owner
        self._quota = who.limits.quota
        self._rules = rules

    def queue(
        self,
        job: str,
        submission: Submission[InjectionRequest],
        origin: dict[str, str],
        claim: Claim,
    ) -> Record:
        asked = submission.request
        if asked is None:
            raise invalid_at("", "the part request is missing: it holds the injection as JSON")
        head = self._head(asked, submission)
        features = _kept_features(self._context, self._owner, asked)
        self._rules.check(asked, LocatedHead(head.tensors, head.class_names), features)
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
            metadata=asked.metadata,
        )
        document = spec.model_dump_json().encode()
        self._context.store.write(queued.spec, document)
        uploaded = submission.checkpoint.bytes if submission.checkpoint else 0
        self._create(
            queued,
            self._copied(queued, spec, asked),
            fields={**origin, "result": self._result(spec)},
            deadline_seconds=asked.deadline_seconds,
            bytes_stored=len(document) + uploaded,
            reservation=claim.settling(submission.fingerprint),
        )
        self._context.metrics.note_injection()
        return queued

    def _create(
        self,
        queued: Record,
        copied: reuse.Copy | None,
        *,
        fields: dict[str, str],
        deadline_seconds: int | None,
        bytes_stored: int,
        reservation: Reservation,
    ) -> None:
        fields["metadata"] = json.dumps(queued.metadata)
        if copied:
            fields["copied_from"] = copied.source
            bytes_stored += copied.bytes
        # From here on the job may exist even if we never hear so: its files are not ours to
        # delete any more. If it does not, the janitor finds that no record names them.
        self._files.stay = True
        try:
            answer = self._context.ledger.create(
                queued.id,
                queued.owner,
                spec=queued.spec,
                summary=queued.summary,
                timeout_seconds=queued.timeout_seconds,
                deadline_seconds=deadline_seconds,
                fields=fields,
                bytes_stored=bytes_stored,
                quota=self._quota,
                reservation=reservation,
                manifest=copied.manifest if copied else None,
            )
        except (QuotaError, LedgerFullError):
            self._files.stay = False
            raise
        if answer == "taken":
            self._files.stay = False
            raise in_flight()

    def _result(self, spec: JobSpec) -> str:
        return self._context.ledger.key("result", reuse.digest_of(self._owner, spec))

    def _copied(self, queued: Record, spec: JobSpec, asked: InjectionRequest) -> reuse.Copy | None:
        """Copy the result of an identical request, where there is one to trust."""
        if not asked.reuse:
            return None
        ledger, workers = self._context.ledger, self._rules.workers
        source = reuse.find(ledger, self._owner, self._result(spec), spec, workers)
        return reuse.copy(self._context.store, source, queued) if source else None

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
        record = repository.find(self._context.ledger, HeadRecord, asked.head_id, self._owner)
        if record is None:
            raise not_found("head", asked.head_id, "/head_id")
        return record.head


def _kept_features(context: Context, owner: str, asked: InjectionRequest) -> StoredFeatures | None:
    if asked.features_id is None:
        return None
    record = repository.find(context.ledger, FeaturesRecord, asked.features_id, owner)
    if record is None:
        raise not_found("features", asked.features_id, "/features_id")
    return record.features


def _refuse_both(asked: InjectionRequest) -> None:
    if asked.head_id is not None:
        raise invalid_at("/head_id", "head_id and a checkpoint part: give one of them")

"""Takes submissions in: from the body on the wire to files in the store and a record.

A refused or broken submission leaves nothing behind. It does not know how answers look.
"""

import secrets
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from anyio import CancelScope, to_thread
from fastapi import Request
from pydantic import BaseModel

from headgraft.service.schemas.requests import HeadRequest, InjectionRequest
from headgraft.service.uploads import repository
from headgraft.service.uploads.locate_head import LocatedHead, locate_head, stored_head
from headgraft.service.uploads.receiver import Limits, Nowhere, Receiver, Submission
from headgraft.service.web.context import Context, identity_of
from headgraft.service.web.idempotency import Claim
from headgraft.service.web.problems import invalid_at
from headgraft.workers.jobs.quota import Quota
from headgraft.workers.jobs.spec import HeadRecord, StoredHead
from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.store import Store, StoreError

log = structlog.get_logger("headgraft.intake")


def fresh_id(kind: str) -> str:
    """Return an id that nobody can guess: kind, underscore, 24 hexadecimal digits."""
    return f"{kind}_{secrets.token_hex(12)}"


def limits_of(context: Context, request: Request) -> Limits:
    """Return the sizes that the operator allows whoever sent the request."""
    settings, allowed = context.settings, identity_of(request).limits
    upload = allowed.upload_bytes or settings.upload_bytes_max
    return Limits(upload=upload, request=settings.request_bytes_max)


async def take_head(context: Context, owner: str, request: Request, claim: Claim) -> HeadRecord:
    """Receive, check and keep one head; return its record."""
    await require_room(context, request, for_job=False)
    head = fresh_id("head")
    folder = f"{owner}/uploads/{head}/"
    receiver = Receiver(
        HeadRequest,
        store=context.store,
        folder=folder,
        limits=limits_of(context, request),
        examine=lambda asked, header: head_names(locate_head(asked, header)),
    )
    async with nothing_left(context.store, [folder]):
        submission = await receiver.receive(request, claim.stream(request))
        asked = submission.request or HeadRequest()
        stored = received_head(asked, submission)
        record = HeadRecord(
            id=head,
            owner=owner,
            created_at=int(time.time() * 1000),
            head=stored,
        )
        quota = identity_of(request).limits.quota
        reservation = claim.settling(submission.fingerprint)
        await to_thread.run_sync(repository.keep, context.ledger, record, quota, reservation)
    return record


async def resent(model: type[BaseModel], context: Context, request: Request, claim: Claim) -> str:
    """Read a repeated submission to its end, keeping none of it; return its fingerprint."""
    receiver: Receiver[BaseModel] = Receiver(
        model,
        store=Nowhere(),
        folder="",
        limits=limits_of(context, request),
        examine=lambda _asked, _header: (),
    )
    submission = await receiver.receive(request, claim.stream(request))
    return submission.fingerprint


def head_names(found: LocatedHead) -> Collection[str]:
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
    found = locate_head(asked, checkpoint.header)
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


async def require_room(context: Context, request: Request, *, for_job: bool) -> None:
    """Return where there is room; QuotaError where not, LedgerError when Redis is away."""
    identity = identity_of(request)
    length = request.headers.get("content-length", "0")
    coming = int(length) if length.isdecimal() else 0
    quota = identity.limits.quota
    await to_thread.run_sync(_look, context.ledger, identity.owner, quota, coming, for_job)


def _look(ledger: Ledger, owner: str, quota: Quota, coming: int, for_job: bool) -> None:
    ledger.ping()
    if for_job and quota.jobs is not None:
        live = ledger.ask("scard", ledger.key("live", owner))
        quota.check("jobs" if live >= quota.jobs else "")
    if quota.stored_bytes is not None:
        held = int(ledger.ask("hget", ledger.key("stored", owner), "total") or 0)
        full = held + coming > quota.stored_bytes
        quota.check(f"stored-bytes {held}" if full else "", coming)

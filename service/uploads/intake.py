"""What surrounds every upload: a check of the quota before it, a cleaning when it fails."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from anyio import CancelScope, to_thread
from fastapi import Request

from headgraft.service.web.context import Context, identity_of
from headgraft.workers.store import Store, StoreError

log = structlog.get_logger("headgraft.intake")


@dataclass
class UploadedFiles:
    """What an upload wrote; once `keep` is set, an error no longer deletes it."""

    keep: bool = False


@asynccontextmanager
async def delete_on_error(store: Store, *prefixes: str) -> AsyncIterator[UploadedFiles]:
    """Delete what lies under the prefixes when the block fails, whatever ends it."""
    files = UploadedFiles()
    try:
        yield files
    except BaseException:
        if files.keep:
            raise
        # A client that goes away cancels the request; the cleaning must not be cancelled with it.
        with CancelScope(shield=True):
            for prefix in prefixes:
                await _delete(store, prefix)
        raise


async def _delete(store: Store, prefix: str) -> None:
    try:
        await to_thread.run_sync(store.delete, prefix)
    except StoreError as error:
        log.warning("refused_upload_not_deleted", prefix=prefix, error=str(error))


async def check_quota(context: Context, request: Request, *, for_job: bool) -> None:
    """Return where there is room; QuotaError where not, LedgerError when Redis is away.

    An advisory check: the scripts enforce the same limits atomically.
    """
    identity = identity_of(request)
    length = request.headers.get("content-length", "0")
    coming = int(length) if length.isdecimal() else 0
    quota = identity.limits.quota
    live, held = await context.ledger.usage(identity.owner)
    if for_job and quota.jobs_max is not None:
        quota.check("jobs" if live >= quota.jobs_max else "")
    if quota.bytes_max is not None:
        quota.check(f"stored-bytes {held}" if held + coming > quota.bytes_max else "", coming)


def fresh_id(kind: str) -> str:
    """Return an id that nobody can guess: kind, underscore, 24 hexadecimal digits."""
    return f"{kind}_{secrets.token_hex(12)}"

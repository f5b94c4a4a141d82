"""Asks whether an owner has room for one more, before a byte of the body is read.

A look only: what counts is that the ledger's scripts hold the same limits as they write.
"""

from anyio import to_thread
from fastapi import Request
from headgraft.service.web.context import Context, identity_of
from headgraft.workers.jobs.quota import Quota
from headgraft.workers.ledger.ledger import Ledger


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

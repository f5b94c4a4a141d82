"""Whether this process lives, and whether what it needs answers."""

from typing import Literal

from anyio import to_thread
from fastapi import APIRouter
from pydantic import BaseModel

from headgraft.service.web.context import Context, InContext
from headgraft.service.web.openapi import errors
from headgraft.workers import ownership
from headgraft.workers.jobs.presence import LoopState
from headgraft.workers.ownership import ForeignStoreError

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The answer of a probe that found nothing wrong."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """What a ready process says of itself.

    `degraded`: a background loop is stuck, or the store is not this Redis's, and `store` says why.
    """

    status: Literal["ok", "degraded"]
    store: str
    loops: dict[str, LoopState]


@router.get("/healthz", operation_id="isAlive", summary="Ask whether the process lives")
async def healthz() -> Health:
    """Answer; nothing else is asked."""
    return Health()


@router.get(
    "/readyz",
    operation_id="isReady",
    summary="Ask whether Redis and the store answer",
    responses=errors(),
)
async def readyz(context: InContext) -> Readiness:
    """Ask both; 503 names the one that does not answer. `loops` are the background tasks."""
    await context.ledger.ping()
    await to_thread.run_sync(context.store.check)
    store, loops = await _store_state(context), context.metrics.states()
    is_well = store == "ok" and not any(loop.is_stuck for loop in loops.values())
    return Readiness(status="ok" if is_well else "degraded", store=store, loops=loops)


async def _store_state(context: Context) -> str:
    fields = await context.ledger.command("hgetall", context.ledger.key("store"))
    try:
        mark = await to_thread.run_sync(ownership.read_mark, context.store)
    except ForeignStoreError as error:
        return str(error)
    return ownership.complaint(ownership.known_mark(fields), mark) or "ok"

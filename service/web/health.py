"""Whether this process lives, and whether what it needs answers."""

from typing import Literal

from anyio import to_thread
from fastapi import APIRouter
from pydantic import BaseModel

from headgraft.service.web.context import InContext
from headgraft.service.web.openapi import errors

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The answer of a probe that found nothing wrong."""

    status: Literal["ok"] = "ok"


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
async def readyz(context: InContext) -> Health:
    """Ask both; 503 names the one that does not answer."""
    await context.ledger.ping()
    await to_thread.run_sync(context.store.check)
    return Health()

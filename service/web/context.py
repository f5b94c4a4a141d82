"""The parts of the running service that every endpoint works with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Path, Query, Request

from headgraft.service.config import ServiceSettings
from headgraft.service.schemas.injections import MethodResource
from headgraft.service.web.auth import Identity
from headgraft.service.web.metrics import Metrics
from headgraft.workers.ledger.service_ledger import ServiceLedger
from headgraft.workers.store import Store


@dataclass(frozen=True)
class Context:
    """The parts of one running service."""

    settings: ServiceSettings
    ledger: ServiceLedger
    store: Store
    methods: Mapping[str, MethodResource]
    metrics: Metrics


# Neither waits for anything; the framework would send a plain function to a thread.
async def context_of(request: Request) -> Context:
    """Return the running service's parts."""
    return cast(Context, request.app.state.context)


def identity_of(request: Request) -> Identity:
    """Return whose key the request carried, and what it allows; AccessMiddleware has set it."""
    return cast(Identity, request.state.identity)


async def owner_of(request: Request) -> str:
    """Return whose key the request carried."""
    return identity_of(request).owner


InContext = Annotated[Context, Depends(context_of)]
Owner = Annotated[str, Depends(owner_of)]
Id = Annotated[str, Path(max_length=64)]
After = Annotated[str | None, Query(max_length=64, description="id of the last one seen")]
Limit = Annotated[int, Query(ge=1, le=100)]

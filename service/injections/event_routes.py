"""The events of an injection: followed as they come, or read page by page."""

from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from headgraft.service.injections.context import InInjectionContext
from headgraft.service.injections.routes import Own
from headgraft.service.schemas.injections import EventList, event_resource
from headgraft.service.web.openapi import EVENTS, errors

router = APIRouter(prefix="/v1/injections", tags=["injections"])
ENTRY_PATTERN = r"^[0-9]{1,19}-[0-9]{1,19}$"
ENTRIES = ["1764149647123-0"]


@router.get(
    "/{id}/events",
    operation_id="followInjection",
    summary="Follow an injection as server-sent events",
    response_class=EventSourceResponse,
    responses={**errors(404, 422), **EVENTS},
)
async def follow_injection(
    context: InInjectionContext,
    record: Own,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", pattern=ENTRY_PATTERN, examples=ENTRIES)
    ] = None,
) -> AsyncIterable[ServerSentEvent]:
    """Send `status` and `progress` events, from the first or behind Last-Event-ID, to the end."""
    async for event in context.hub.follow(record.id, last_event_id or "-"):
        yield ServerSentEvent(id=event.id, event=event.data.type, data=event.data.model_dump())


@router.get(
    "/{id}/events/list",
    operation_id="listEvents",
    summary="List the events of an injection, oldest first",
    responses=errors(404, 422),
)
async def list_events(
    context: InInjectionContext,
    record: Own,
    after: Annotated[
        str | None,
        Query(pattern=ENTRY_PATTERN, examples=ENTRIES, description="id of the last one seen"),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> EventList:
    """Return a page of what `followInjection` sends; `after` its last id comes the next."""
    events = await context.ledger.events(record.id, after=after or "-", count=limit + 1)
    page = [event_resource(event) for event in events[:limit]]
    return EventList(data=page, has_more=len(events) > limit)

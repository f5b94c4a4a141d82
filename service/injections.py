"""The injections of /v1: create, list, read, cancel, follow."""

from collections.abc import AsyncIterable
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from service.context import After, Context, Id, InContext, Limit, Owner
from service.intake import take_injection
from service.openapi import INJECTION_BODY, errors
from service.problems import ProblemError, not_found
from service.resources import InjectionList, InjectionResource, injection_resource, links
from workers.jobs import Record
from workers.ledger import LedgerError

router = APIRouter(prefix="/v1/injections", tags=["injections"])
ENTRY_PATTERN = r"^[0-9]{1,19}-[0-9]{1,19}$"


def own_injection(
    id: Id,  # noqa: A002  # the template's name
    context: InContext,
    owner: Owner,
) -> Record:
    """Return the record; another owner's is not found, exactly like one that never was."""
    record = context.ledger.get(id)
    if record is None or record.owner != owner:
        raise not_found("injection", id)
    return record


Own = Annotated[Record, Depends(own_injection)]


def show(context: Context, record: Record) -> InjectionResource:
    """Show a job with its place in the queue."""
    return injection_resource(
        record,
        queue_position=context.ledger.queue_position(record),
        workers_online=len(context.ledger.workers()),
    )


# The job exists: a ledger that falls silent now must not make its client create it again.
def _show_queued(context: Context, record: Record) -> InjectionResource:
    try:
        return show(context, context.ledger.get(record.id) or record)
    except LedgerError:
        return injection_resource(record, queue_position=None, workers_online=0)


@router.post(
    "",
    status_code=202,
    operation_id="createInjection",
    summary="Extend a head by new classes",
    openapi_extra={"requestBody": INJECTION_BODY},
    responses=errors(413, 415, 422),
)
async def create_injection(
    request: Request, response: Response, context: InContext, owner: Owner
) -> InjectionResource:
    """Take a checkpoint (or `head_id`) and the classes to add; a worker does the rest."""
    record = await take_injection(context, owner, request)
    response.headers["Location"] = links(record.id).self
    response.headers["Retry-After"] = "1"
    return await to_thread.run_sync(_show_queued, context, record)


@router.get(
    "",
    operation_id="listInjections",
    summary="List injections, newest first",
    responses=errors(422),
)
def list_injections(
    context: InContext,
    owner: Owner,
    after: After = None,
    limit: Limit = 20,
) -> InjectionList:
    """Return a page; `after` its last id comes the next."""
    records = context.ledger.jobs(owner, after=after, limit=limit + 1)
    page = [show(context, record) for record in records[:limit]]
    return InjectionList(data=page, has_more=len(records) > limit)


@router.get(
    "/{id}", operation_id="getInjection", summary="Read one injection", responses=errors(404, 422)
)
def get_injection(context: InContext, record: Own) -> InjectionResource:
    """Return status, progress, place in the queue, error and artifacts."""
    return show(context, record)


@router.post(
    "/{id}/cancel",
    operation_id="cancelInjection",
    summary="Cancel a queued or running injection",
    responses=errors(404, 409, 422),
)
def cancel_injection(context: InContext, record: Own) -> InjectionResource:
    """End the job at once; one that has ended already is a 409 that shows it."""
    answer = context.ledger.cancel(record.id)
    current = context.ledger.get(record.id)
    if answer == "missing" or current is None:
        raise not_found("injection", record.id)
    shown = show(context, current)
    if answer != "ok":
        detail = f"injection {record.id} has ended already: it is {answer}"
        raise ProblemError(409, "conflict", detail, extra={"injection": shown.model_dump()})
    return shown


@router.get(
    "/{id}/events",
    operation_id="followInjection",
    summary="Follow an injection as server-sent events",
    response_class=EventSourceResponse,
    responses=errors(404, 422),
)
async def follow_injection(
    context: InContext,
    record: Own,
    last_event_id: Annotated[str | None, Header(pattern=ENTRY_PATTERN)] = None,
) -> AsyncIterable[ServerSentEvent]:
    """Send `status` and `progress` events, from the first or behind Last-Event-ID, to the end."""
    async for event in context.hub.follow(record.id, last_event_id or "-"):
        yield ServerSentEvent(id=event.id, event=event.data["type"], data=event.data)

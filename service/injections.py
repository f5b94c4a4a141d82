"""The injections of /v1: create, list, read, cancel."""

from collections.abc import Sequence
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import Field

from service.context import After, Context, Id, InContext, Limit, Owner
from service.intake import take_injection
from service.openapi import INJECTION_BODY, errors
from service.preferences import WAIT_SECONDS_MAX, wait_seconds
from service.problems import ProblemError, not_found
from service.resources import InjectionList, InjectionResource, injection_resource, links
from workers.jobs import TERMINAL, Record, Status
from workers.ledger import LedgerError

router = APIRouter(prefix="/v1/injections", tags=["injections"])
ENDED = "It has ended within the time that `Prefer: wait=N` gave it."
NONE: tuple[()] = ()
LIVE = {"Retry-After": "1"}


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
Prefer = Annotated[
    str | None,
    Header(description=f"wait=N: answer once it has ended, or after N <= {WAIT_SECONDS_MAX} s."),
]
Statuses = Annotated[
    Sequence[Status], Query(max_length=5, description="Only those of one of these.")
]
Pairs = Annotated[
    Sequence[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}=", max_length=577)]],
    Query(max_length=16, description="Only those with all of these: key=value."),
]


def show(context: Context, record: Record) -> InjectionResource:
    """Show a job with its place in the queue."""
    look = context.queue.look(record)
    return injection_resource(
        record,
        queue_position=look.place(record),
        workers_online=look.workers_online,
        seconds_left=look.seconds_left(record),
    )


# The job exists: a ledger that falls silent now must not make its client create it again.
def _show_queued(context: Context, record: Record) -> InjectionResource:
    try:
        return show(context, context.ledger.get(record.id) or record)
    except LedgerError:
        return injection_resource(record)


@router.post(
    "",
    status_code=202,
    operation_id="createInjection",
    summary="Extend a head by new classes",
    openapi_extra={"requestBody": INJECTION_BODY},
    responses={200: {"model": InjectionResource, "description": ENDED}, **errors(413, 415, 422)},
)
async def create_injection(
    request: Request,
    response: Response,
    context: InContext,
    owner: Owner,
    prefer: Prefer = None,  # noqa: ARG001  # for the document: there may be several such headers
) -> InjectionResource:
    """Take a checkpoint (or `head_id`) and the classes to add; a worker does the rest."""
    record = await take_injection(context, owner, request)
    response.headers["Location"] = links(record.id).self
    seconds = wait_seconds(request.headers.getlist("prefer"))
    if seconds is not None:
        response.headers["Preference-Applied"] = f"wait={seconds}"
        await context.hub.wait(record.id, seconds)
    shown = await to_thread.run_sync(_show_queued, context, record)
    if shown.status in TERMINAL and seconds is not None:
        response.status_code = 200
    else:
        response.headers.update(LIVE)
    return shown


@router.get(
    "",
    operation_id="listInjections",
    summary="List injections, newest first",
    responses=errors(404, 422),
)
def list_injections(
    context: InContext,
    owner: Owner,
    after: After = None,
    limit: Limit = 20,
    status: Statuses = NONE,
    metadata: Pairs = NONE,
) -> InjectionList:
    """Return a page; `after` its last id comes the next."""
    pairs = [pair.partition("=") for pair in metadata]
    records = context.ledger.jobs(
        owner,
        after=after,
        limit=limit + 1,
        statuses=status,
        metadata={key: value for key, _, value in pairs},
    )
    page = [show(context, record) for record in records[:limit]]
    return InjectionList(data=page, has_more=len(records) > limit)


@router.get(
    "/{id}", operation_id="getInjection", summary="Read one injection", responses=errors(404, 422)
)
def get_injection(response: Response, context: InContext, record: Own) -> InjectionResource:
    """Return status, progress, place in the queue, seconds left, error and artifacts.

    While it is live, Retry-After says when to ask again.
    """
    if not record.is_terminal:
        response.headers.update(LIVE)
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

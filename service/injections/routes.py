"""The injections of /v1: create, list, read, cancel, delete."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from headgraft.service.injections.context import InInjectionContext, InjectionContext
from headgraft.service.injections.create import create_injection_job
from headgraft.service.schemas.injections import (
    InjectionList,
    InjectionResource,
    injection_resource,
    links,
)
from headgraft.service.schemas.requests import InjectionRequest
from headgraft.service.uploads.receiver import CHECKPOINT, UploadReceiver
from headgraft.service.web.context import After, Id, Limit, Owner
from headgraft.service.web.idempotency import (
    REPLAYED,
    InLock,
    StoredResponse,
    digest,
    in_flight,
)
from headgraft.service.web.openapi import INJECTION_BODY, errors
from headgraft.service.web.problems import ProblemError, not_found
from headgraft.workers.jobs.manifest import folders
from headgraft.workers.jobs.spec import Record, Status
from headgraft.workers.ledger.quota import Reservation
from headgraft.workers.ledger.scripts import LedgerError

router = APIRouter(prefix="/v1/injections", tags=["injections"])
ENDED = "It has ended within the time that `Prefer: wait=N` gave it."
NONE: tuple[()] = ()
PASSED_ON = {"location", "preference-applied", "idempotent-replayed"}
LIVE = {"Retry-After": "1"}
WAIT_SECONDS_MAX = 60
WAIT = re.compile(r"\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?:;.*)?", re.IGNORECASE)


async def own_injection(
    id: Id,  # the template's name
    context: InInjectionContext,
    owner: Owner,
) -> Record:
    """Return the record; another owner's is not found, exactly like one that never was."""
    record = await context.ledger.get(id)
    if record is None or record.owner != owner:
        raise not_found("injection", id)
    return record


Own = Annotated[Record, Depends(own_injection)]
Prefer = Annotated[
    str | None,
    Header(
        alias="Prefer",
        description=f"wait=N: answer once it has ended, or after N <= {WAIT_SECONDS_MAX} s.",
    ),
]
Statuses = Annotated[
    Sequence[Status], Query(max_length=5, description="Only those of one of these.")
]
Pairs = Annotated[
    Sequence[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}=", max_length=577)]],
    Query(max_length=16, description="Only those with all of these: key=value."),
]


async def show(context: InjectionContext, record: Record) -> InjectionResource:
    """Show a job with its place in the queue."""
    queue = await context.queue.snapshot(record)
    return injection_resource(
        record,
        queue_position=queue.place(record),
        workers_online=queue.workers_online,
        seconds_left=queue.seconds_left(record),
    )


# The job exists: a ledger that falls silent now must not make its client create it again.
async def _show_queued(context: InjectionContext, record: Record) -> InjectionResource:
    try:
        return await show(context, await context.ledger.get(record.id) or record)
    except LedgerError:
        return injection_resource(record)


@router.post(
    "",
    status_code=202,
    operation_id="createInjection",
    summary="Extend a head by new classes",
    openapi_extra={"requestBody": INJECTION_BODY},
    response_model=InjectionResource,
    responses={
        200: {"model": InjectionResource, "description": ENDED},
        **errors(403, 404, 409, 413, 415, 422),
    },
)
async def create_injection(
    request: Request,
    context: InInjectionContext,
    lock: InLock,
    prefer: Prefer = None,  # noqa: ARG001  # for the document: there may be several such headers
) -> Response:
    """Take a checkpoint (or `head_id`) and the classes to add; a worker does the rest.

    An identical request that has succeeded is answered by a copy of its result.
    """
    upload = UploadReceiver(CHECKPOINT, InjectionRequest, context, request, lock)
    if lock.earlier:
        lock.earlier.check(await upload.discard())
        return await _repeat(request, context, lock.earlier)
    record = await create_injection_job(context, request, lock, upload)
    shown = await _show_queued(context, record)
    await lock.save_response(record.id, shown)
    answer = JSONResponse(shown.model_dump(mode="json"), 202, {**_location(record.id), **LIVE})
    return await _waited(request, context, record.id, answer)


async def _repeat(request: Request, context: InjectionContext, earlier: StoredResponse) -> Response:
    answer = earlier.replay(202, {**_location(earlier.id), **LIVE})
    if answer is None:
        record = await context.ledger.get(earlier.id)
        if record is None:
            raise not_found("injection", earlier.id)
        shown = await show(context, record)
        headers = {**_location(earlier.id), **LIVE, **REPLAYED}
        answer = JSONResponse(shown.model_dump(mode="json"), 202, headers)
    return await _waited(request, context, earlier.id, answer)


async def _waited(
    request: Request, context: InjectionContext, job: str, answer: Response
) -> Response:
    """Return the answer, or 200 with the finished job if it ends while the client would wait."""
    seconds = wait_seconds(request.headers.getlist("prefer"))
    if seconds is None:
        return answer
    answer.headers["Preference-Applied"] = f"wait={seconds}"
    await context.hub.wait(job, seconds)
    record = await context.ledger.get(job)
    if record is None or not record.is_terminal:
        return answer
    shown = await show(context, record)
    kept = {name: value for name, value in answer.headers.items() if name in PASSED_ON}
    return JSONResponse(shown.model_dump(mode="json"), 200, kept)


def _location(job: str) -> dict[str, str]:
    return {"Location": links(job).self}


@router.get(
    "",
    operation_id="listInjections",
    summary="List injections, newest first",
    responses=errors(404, 422),
)
async def list_injections(
    context: InInjectionContext,
    owner: Owner,
    after: After = None,
    limit: Limit = 20,
    status: Statuses = NONE,
    metadata: Pairs = NONE,
) -> InjectionList:
    """Return a page; `after` its last id comes the next."""
    pairs = [pair.partition("=")[::2] for pair in metadata]
    records = await context.ledger.jobs(
        owner,
        after=after,
        limit=limit + 1,
        statuses=status,
        metadata=pairs,
    )
    page = [await show(context, record) for record in records[:limit]]
    return InjectionList(data=page, has_more=len(records) > limit)


@router.get(
    "/{id}", operation_id="getInjection", summary="Read one injection", responses=errors(404, 422)
)
async def get_injection(
    response: Response, context: InInjectionContext, record: Own
) -> InjectionResource:
    """Return status, progress, place in the queue, seconds left, error and artifacts.

    While it is live, Retry-After says when to ask again.
    """
    if not record.is_terminal:
        response.headers.update(LIVE)
    return await show(context, record)


@router.post(
    "/{id}/cancel",
    operation_id="cancelInjection",
    summary="Cancel a queued or running injection",
    response_model=InjectionResource,
    responses=errors(404, 409, 422),
)
async def cancel_injection(context: InInjectionContext, record: Own, lock: InLock) -> Response:
    """End the job at once; one that has ended already is a 409 that shows it."""
    sent = digest(record.id)
    if lock.earlier:
        lock.earlier.check(sent)
        if answer := lock.earlier.replay(200, {}):
            return answer
    shown = await _cancel(context, record, lock.reservation(sent))
    await lock.save_response(record.id, shown)
    return JSONResponse(shown.model_dump(mode="json"))


async def _cancel(
    context: InjectionContext, record: Record, reservation: Reservation
) -> InjectionResource:
    answer = await context.ledger.cancel(record.id, reservation)
    if answer == "taken":
        raise in_flight()
    current = await context.ledger.get(record.id)
    if answer == "missing" or current is None:
        raise not_found("injection", record.id)
    shown = await show(context, current)
    if answer != "ok":
        detail = f"injection {record.id} has ended already: it is {answer}"
        raise ProblemError(409, "conflict", detail, extra={"injection": shown})
    return shown


@router.delete(
    "/{id}",
    status_code=204,
    operation_id="deleteInjection",
    summary="Delete an injection that has ended",
    responses=errors(404, 409, 422),
)
async def delete_injection(context: InInjectionContext, record: Own) -> None:
    """Delete record, events and files; a queued or running one is a 409: cancel it first."""
    if not record.is_terminal:
        raise await _is_live(context, record)
    # The files go first: a client that gets an error of the store can repeat the call.
    for folder in folders(record.owner, record.id):
        await to_thread.run_sync(context.store.delete, folder)
    if not await context.ledger.remove(record.id, record.owner):
        raise not_found("injection", record.id)


async def _is_live(context: InjectionContext, record: Record) -> ProblemError:
    detail = f"injection {record.id} is {record.status}: cancel it first, or wait for its end"
    shown = await show(context, record)
    return ProblemError(409, "conflict", detail, extra={"injection": shown})


def wait_seconds(headers: Iterable[str]) -> int | None:
    """Read Prefer (RFC 7240): the seconds of its first `wait=N`, at most 60; None without one."""
    for preference in ",".join(headers).split(","):
        if found := WAIT.fullmatch(preference):
            return min(int(found[1]), WAIT_SECONDS_MAX)
    return None

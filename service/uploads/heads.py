"""The heads of /v1: upload once, extend often."""

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from headgraft.service.schemas.requests import HeadRequest
from headgraft.service.schemas.uploads import HeadList, HeadResource, head_resource
from headgraft.service.uploads import repository
from headgraft.service.uploads.intake import resent, take_head
from headgraft.service.web.context import After, Id, InContext, Limit, Owner
from headgraft.service.web.idempotency import REPLAYED, InClaim
from headgraft.service.web.openapi import HEAD_BODY, errors
from headgraft.workers.jobs.spec import HeadRecord

router = APIRouter(prefix="/v1/heads", tags=["heads"])


@router.post(
    "",
    status_code=201,
    operation_id="createHead",
    summary="Upload a head",
    openapi_extra={"requestBody": HEAD_BODY},
    responses=errors(403, 404, 409, 413, 415, 422),
)
async def create_head(
    request: Request, response: Response, context: InContext, owner: Owner, claim: InClaim
) -> HeadResource:
    """Keep a checkpoint for any number of injections by `head_id`."""
    if claim.earlier:
        claim.earlier.check(await resent(HeadRequest, context, request, claim))
        record = await to_thread.run_sync(
            repository.get, context.ledger, HeadRecord, claim.earlier.id, owner
        )
        response.headers.update(REPLAYED)
    else:
        record = await take_head(context, owner, request, claim)
    response.headers["Location"] = f"/v1/heads/{record.id}"
    return head_resource(record)


@router.get(
    "",
    operation_id="listHeads",
    summary="List heads, newest first",
    responses=errors(404, 422),
)
def list_heads(
    context: InContext,
    owner: Owner,
    after: After = None,
    limit: Limit = 20,
) -> HeadList:
    """Return a page; `after` its last id comes the next."""
    found = repository.page(context.ledger, HeadRecord, owner, after=after, limit=limit + 1)
    page = [head_resource(record) for record in found[:limit]]
    return HeadList(data=page, has_more=len(found) > limit)


@router.get("/{id}", operation_id="getHead", summary="Read one head", responses=errors(404, 422))
def get_head(
    id: Id,
    context: InContext,
    owner: Owner,
) -> HeadResource:
    """Return what was found in the uploaded checkpoint."""
    return head_resource(repository.get(context.ledger, HeadRecord, id, owner))


@router.delete(
    "/{id}",
    status_code=204,
    operation_id="deleteHead",
    summary="Delete a head that no live injection needs",
    responses=errors(404, 409, 422),
)
def delete_head(
    id: Id,
    context: InContext,
    owner: Owner,
) -> None:
    """Delete record and file; extended heads stay."""
    repository.forget(context.ledger, HeadRecord, id, owner)
    context.store.delete(f"{owner}/uploads/{id}/")

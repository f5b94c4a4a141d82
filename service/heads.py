"""The heads of /v1: upload once, extend often."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from service.context import InContext, Owner
from service.intake import take_head
from service.openapi import HEAD_BODY, errors
from service.problems import not_found
from service.resources import HeadResource, head_resource

router = APIRouter(prefix="/v1/heads", tags=["heads"])


@router.post(
    "",
    status_code=201,
    operation_id="createHead",
    summary="Upload a head",
    openapi_extra={"requestBody": HEAD_BODY},
    responses=errors(413, 415, 422),
)
async def create_head(
    request: Request, response: Response, context: InContext, owner: Owner
) -> HeadResource:
    """Keep a checkpoint for any number of injections by `head_id`."""
    record = await take_head(context, owner, request)
    response.headers["Location"] = f"/v1/heads/{record.id}"
    return head_resource(record)


@router.get("/{id}", operation_id="getHead", summary="Read one head", responses=errors(404, 422))
def get_head(
    id: Annotated[str, Path(max_length=64)],  # noqa: A002  # the template's name
    context: InContext,
    owner: Owner,
) -> HeadResource:
    """Return what was found in the uploaded checkpoint."""
    record = context.ledger.get_head(id)
    if record is None or record.owner != owner:
        raise not_found("head", id)
    return head_resource(record)

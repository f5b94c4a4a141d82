"""The heads of /v1: upload once, extend often."""

import time

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from headgraft.service.schemas.requests import HeadRequest
from headgraft.service.schemas.uploads import HeadList, HeadResource, head_resource
from headgraft.service.uploads import repository
from headgraft.service.uploads.checkpoints import Checkpoint
from headgraft.service.uploads.intake import check_quota, delete_on_error, fresh_id
from headgraft.service.uploads.locate_head import locate_head, stored_head
from headgraft.service.uploads.receiver import CHECKPOINT, UploadReceiver
from headgraft.service.web.context import After, Context, Id, InContext, Limit, Owner, identity_of
from headgraft.service.web.idempotency import REPLAYED, IdempotencyLock, InLock
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
    request: Request, response: Response, context: InContext, owner: Owner, lock: InLock
) -> HeadResource:
    """Keep a checkpoint for any number of injections by `head_id`."""
    upload = UploadReceiver(CHECKPOINT, HeadRequest, context, request, lock)
    if lock.earlier:
        lock.earlier.check(await upload.discard())
        record = await repository.get(context.ledger, HeadRecord, lock.earlier.id, owner)
        response.headers.update(REPLAYED)
    else:
        record = await _create(context, request, lock, upload)
    response.headers["Location"] = f"/v1/heads/{record.id}"
    return head_resource(record)


@router.get(
    "",
    operation_id="listHeads",
    summary="List heads, newest first",
    responses=errors(404, 422),
)
async def list_heads(
    context: InContext,
    owner: Owner,
    after: After = None,
    limit: Limit = 20,
) -> HeadList:
    """Return a page; `after` its last id comes the next."""
    ledger, kind = context.ledger, HeadRecord
    records = await repository.page(ledger, kind, owner, after=after, limit=limit + 1)
    page = [head_resource(record) for record in records[:limit]]
    return HeadList(data=page, has_more=len(records) > limit)


@router.get("/{id}", operation_id="getHead", summary="Read one head", responses=errors(404, 422))
async def get_head(
    id: Id,  # the template's name
    context: InContext,
    owner: Owner,
) -> HeadResource:
    """Return what was found in the uploaded checkpoint."""
    return head_resource(await repository.get(context.ledger, HeadRecord, id, owner))


@router.delete(
    "/{id}",
    status_code=204,
    operation_id="deleteHead",
    summary="Delete a head that no live injection needs",
    responses=errors(404, 409, 422),
)
async def delete_head(
    id: Id,  # the template's name
    context: InContext,
    owner: Owner,
) -> None:
    """Delete record and file; extended heads stay."""
    await repository.delete(context.ledger, HeadRecord, id, owner)
    await to_thread.run_sync(context.store.delete, f"{owner}/uploads/{id}/")


async def _create(
    context: Context,
    request: Request,
    lock: IdempotencyLock,
    upload: UploadReceiver[HeadRequest, Checkpoint],
) -> HeadRecord:
    """Receive, check and keep one head; return its record."""
    await check_quota(context, request, for_job=False)
    identity, name = identity_of(request), fresh_id("head")
    folder = f"{identity.owner}/uploads/{name}/"
    async with delete_on_error(context.store, folder):
        await upload.read_start()
        located = None
        if upload.document and upload.reader:
            located = await to_thread.run_sync(locate_head, upload.document, upload.reader.header)
        names = located.tensor_names if located else None
        await upload.receive_file(context.store, folder, names)
        document, file = upload.document or HeadRequest(), upload.required_file
        if located is None:
            located = await to_thread.run_sync(locate_head, document, file.header)
        record = HeadRecord(
            id=name,
            owner=identity.owner,
            created_at=int(time.time() * 1000),
            head=stored_head(document, located, file),
        )
        reservation = lock.reservation(upload.fingerprint)
        await repository.create(context.ledger, record, identity.limits.quota, reservation)
    return record

"""The features of /v1: pictures that calibration may look at, as a network sees them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from headgraft.service.schemas.uploads import FeaturesList, FeaturesResource, features_resource
from headgraft.service.uploads import repository
from headgraft.service.uploads.intake import check_quota, delete_on_error, fresh_id
from headgraft.service.uploads.receiver import FEATURES, UploadReceiver
from headgraft.service.web.context import After, Context, Id, InContext, Limit, Owner, identity_of
from headgraft.service.web.idempotency import REPLAYED, IdempotencyLock, InLock
from headgraft.service.web.openapi import FEATURES_BODY, errors
from headgraft.service.web.problems import invalid_at
from headgraft.workers.formats.header import HeaderError
from headgraft.workers.jobs.spec import FeaturesRecord, StoredFeatures

router = APIRouter(prefix="/v1/features", tags=["features"])


@router.post(
    "",
    status_code=201,
    operation_id="createFeatures",
    summary="Upload features",
    openapi_extra={"requestBody": FEATURES_BODY},
    responses=errors(403, 404, 409, 413, 415, 422),
)
async def create_features(
    request: Request, response: Response, context: InContext, owner: Owner, lock: InLock
) -> FeaturesResource:
    """Keep features of pictures, with labels or without, for any number of injections."""
    upload = UploadReceiver(FEATURES, BaseModel, context, request, lock)
    with _invalid_features():
        if lock.earlier:
            lock.earlier.check(await upload.discard())
            record = await repository.get(context.ledger, FeaturesRecord, lock.earlier.id, owner)
            response.headers.update(REPLAYED)
        else:
            record = await _create(context, request, lock, upload)
    response.headers["Location"] = f"/v1/features/{record.id}"
    return features_resource(record)


@router.get(
    "",
    operation_id="listFeatures",
    summary="List features, newest first",
    responses=errors(404, 422),
)
async def list_features(
    context: InContext,
    owner: Owner,
    after: After = None,
    limit: Limit = 20,
) -> FeaturesList:
    """Return a page; `after` its last id comes the next."""
    ledger, kind = context.ledger, FeaturesRecord
    records = await repository.page(ledger, kind, owner, after=after, limit=limit + 1)
    page = [features_resource(record) for record in records[:limit]]
    return FeaturesList(data=page, has_more=len(records) > limit)


@router.get(
    "/{id}", operation_id="getFeatures", summary="Read one upload", responses=errors(404, 422)
)
async def get_features(
    id: Id,  # the template's name
    context: InContext,
    owner: Owner,
) -> FeaturesResource:
    """Return what was found in the uploaded file."""
    return features_resource(await repository.get(context.ledger, FeaturesRecord, id, owner))


@router.delete(
    "/{id}",
    status_code=204,
    operation_id="deleteFeatures",
    summary="Delete an upload that no live injection needs",
    responses=errors(404, 409, 422),
)
async def delete_features(
    id: Id,  # the template's name
    context: InContext,
    owner: Owner,
) -> None:
    """Delete record and file."""
    await repository.delete(context.ledger, FeaturesRecord, id, owner)
    await to_thread.run_sync(context.store.delete, f"{owner}/uploads/{id}/")


async def _create(
    context: Context,
    request: Request,
    lock: IdempotencyLock,
    upload: UploadReceiver[BaseModel, StoredFeatures],
) -> FeaturesRecord:
    """Receive, check and keep one file of features; return its record."""
    await check_quota(context, request, for_job=False)
    identity, name = identity_of(request), fresh_id("feat")
    folder = f"{identity.owner}/uploads/{name}/"
    async with delete_on_error(context.store, folder):
        await upload.read_start()
        await upload.receive_file(context.store, folder, None)
        record = FeaturesRecord(
            id=name,
            owner=identity.owner,
            created_at=int(time.time() * 1000),
            features=upload.required_file,
        )
        reservation = lock.reservation(upload.fingerprint)
        await repository.create(context.ledger, record, identity.limits.quota, reservation)
    return record


@contextmanager
def _invalid_features() -> Iterator[None]:
    """Refuse the file for what its reader finds, which speaks of any file as a checkpoint."""
    try:
        yield
    except HeaderError as error:
        detail = str(error).replace("the checkpoint", "the features file")
        raise invalid_at("", detail, "invalid_features") from error

"""The labelled features of /v1: pictures that calibration may look at, as a network sees them."""

import time
from collections.abc import AsyncIterator

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from headgraft.service.schemas.uploads import FeaturesList, FeaturesResource, features_resource
from headgraft.service.uploads import repository
from headgraft.service.uploads.feature_files import FEATURES, FeaturesReader
from headgraft.service.uploads.intake import fresh_id, limits_of, nothing_left, require_room
from headgraft.service.uploads.receiver import Nowhere, Sink, in_blocks
from headgraft.service.web.context import After, Context, Id, InContext, Limit, Owner, identity_of
from headgraft.service.web.idempotency import REPLAYED, Claim, InClaim, fingerprint
from headgraft.service.web.multipart import MultipartBody, boundary_of
from headgraft.service.web.openapi import FEATURES_BODY, errors
from headgraft.service.web.problems import ProblemError, invalid_at, too_large
from headgraft.workers.formats.header import HeaderError
from headgraft.workers.jobs.spec import FeaturesRecord, StoredFeatures

router = APIRouter(prefix="/v1/features", tags=["features"])
FILE = "features.safetensors"


@router.post(
    "",
    status_code=201,
    operation_id="createFeatures",
    summary="Upload labelled features",
    openapi_extra={"requestBody": FEATURES_BODY},
    responses=errors(403, 404, 409, 413, 415, 422),
)
async def create_features(
    request: Request, response: Response, context: InContext, owner: Owner, claim: InClaim
) -> FeaturesResource:
    """Keep features of pictures of a head's classes for any number of injections."""
    if claim.earlier:
        again = await _receive(Nowhere(), request, claim, "", limits_of(context, request).upload)
        claim.earlier.check(fingerprint(None, again.sha256))
        record = await to_thread.run_sync(
            repository.get, context.ledger, FeaturesRecord, claim.earlier.id, owner
        )
        response.headers.update(REPLAYED)
    else:
        record = await _take(context, owner, request, claim)
    response.headers["Location"] = f"/v1/features/{record.id}"
    return features_resource(record)


@router.get(
    "",
    operation_id="listFeatures",
    summary="List features, newest first",
    responses=errors(404, 422),
)
def list_features(
    context: InContext,
    owner: Owner,
    after: After = None,
    limit: Limit = 20,
) -> FeaturesList:
    """Return a page; `after` its last id comes the next."""
    found = repository.page(context.ledger, FeaturesRecord, owner, after=after, limit=limit + 1)
    page = [features_resource(record) for record in found[:limit]]
    return FeaturesList(data=page, has_more=len(found) > limit)


@router.get(
    "/{id}", operation_id="getFeatures", summary="Read one upload", responses=errors(404, 422)
)
def get_features(
    id: Id,  # the template's name
    context: InContext,
    owner: Owner,
) -> FeaturesResource:
    """Return what was found in the uploaded file."""
    return features_resource(repository.get(context.ledger, FeaturesRecord, id, owner))


@router.delete(
    "/{id}",
    status_code=204,
    operation_id="deleteFeatures",
    summary="Delete an upload that no live injection needs",
    responses=errors(404, 409, 422),
)
def delete_features(
    id: Id,  # the template's name
    context: InContext,
    owner: Owner,
) -> None:
    """Delete record and file."""
    repository.forget(context.ledger, FeaturesRecord, id, owner)
    context.store.delete(f"{owner}/uploads/{id}/")


async def _take(context: Context, owner: str, request: Request, claim: Claim) -> FeaturesRecord:
    """Receive, check and keep one file of features; return its record."""
    await require_room(context, request, for_job=False)
    name = fresh_id("feat")
    folder = f"{owner}/uploads/{name}/"
    async with nothing_left(context.store, [folder]):
        limit = limits_of(context, request).upload
        stored = await _receive(context.store, request, claim, folder, limit)
        record = FeaturesRecord(
            id=name,
            owner=owner,
            created_at=int(time.time() * 1000),
            features=stored,
        )
        quota = identity_of(request).limits.quota
        reservation = claim.settling(fingerprint(None, stored.sha256))
        await to_thread.run_sync(repository.keep, context.ledger, record, quota, reservation)
    return record


async def _receive(
    store: Sink, request: Request, claim: Claim, folder: str, limit: int
) -> StoredFeatures:
    try:
        return await _read(store, request, claim, folder, limit)
    except HeaderError as error:
        # What all safetensors files have in common is called a checkpoint where it is read.
        detail = str(error).replace("the checkpoint", "the features file")
        raise invalid_at("", detail, "invalid_features") from error


async def _read(
    store: Sink, request: Request, claim: Claim, folder: str, limit: int
) -> StoredFeatures:
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        detail = (
            f"Content-Type is {kind!r:.80}; legal is multipart/form-data with the part {FEATURES}"
        )
        raise ProblemError(415, "unsupported_media_type", detail)
    body = MultipartBody(claim.stream(request), boundary_of(content_type))
    found = None
    while (part := await body.next_part()) is not None:
        if part != FEATURES or found:
            defect = "comes twice" if part == FEATURES else "is not known"
            raise invalid_at("", f"part {part!r:.80} {defect}; legal is one {FEATURES}")
        reader, path = FeaturesReader(), folder + FILE
        checked = _checked(reader, body.data(), path, limit)
        await store.receive(path, in_blocks(checked))
        found = reader.finish(path)
    if found is None:
        raise invalid_at("", f"the part {FEATURES} is missing: it holds the file")
    return found


async def _checked(
    reader: FeaturesReader, chunks: AsyncIterator[bytes], path: str, limit: int
) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        reader.feed(chunk)
        if reader.size > limit:
            raise too_large("the features file", limit)
        yield chunk
    # Within the generator, so that a truncated file is never stored.
    reader.finish(path)

"""The webhooks of /v1: create, list, read, rotate the secret, look at deliveries, delete."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from headgraft.service.web.context import After, Context, Id, InContext, Limit, Owner
from headgraft.service.web.idempotency import (
    REPLAYED,
    Claim,
    Earlier,
    InClaim,
    fingerprint,
    in_flight,
)
from headgraft.service.web.openapi import errors
from headgraft.service.web.problems import invalid_at, must_delete_first, not_found
from headgraft.service.webhooks import records
from headgraft.service.webhooks.addresses import AddressError, find_target
from headgraft.service.webhooks.policy import policy_of
from headgraft.service.webhooks.records import WEBHOOKS_MAX, Webhook
from headgraft.service.webhooks.resources import (
    DeliveryList,
    NewWebhookResource,
    RotateRequest,
    WebhookList,
    WebhookRequest,
    WebhookResource,
    delivery_resource,
    new_webhook_resource,
    webhook_resource,
)
from headgraft.workers.jobs.quota import Reservation

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


def own_webhook(
    id: Id,
    context: InContext,
    owner: Owner,
) -> Webhook:
    """Return the webhook; another owner's is not found, exactly like one that never was."""
    webhook = records.find(context.ledger, id)
    if webhook is None or webhook.owner != owner:
        raise not_found("webhook", id)
    return webhook


Own = Annotated[Webhook, Depends(own_webhook)]


@router.post(
    "",
    status_code=201,
    operation_id="createWebhook",
    summary="Have an address told of injections",
    response_model=NewWebhookResource,
    responses=errors(403, 409, 413, 422),
)
async def create_webhook(
    asked: WebhookRequest, context: InContext, owner: Owner, claim: InClaim
) -> Response:
    """Keep the address; `secret` is shown this once.

    Messages are signed as https://www.standardwebhooks.com describes it.
    """
    sent = fingerprint(asked)
    if claim.earlier:
        claim.earlier.check(sent)
        return await _repeat(context, claim.earlier, 201)
    webhook = await to_thread.run_sync(_create, context, owner, asked, claim.settling(sent))
    return await _answer(claim, webhook, 201)


def _create(
    context: Context, owner: str, asked: WebhookRequest, reservation: Reservation
) -> Webhook:
    try:
        find_target(asked.url, policy_of(context.settings).allowed)
    except AddressError as error:
        raise invalid_at("/url", str(error)) from error
    said = (asked.url, list(dict.fromkeys(asked.events)), asked.description)
    webhook = records.create(context.ledger, owner, *said, reservation)
    if webhook == "taken":
        raise in_flight()
    if webhook == "full":
        detail = f"there are {WEBHOOKS_MAX} webhooks of at most {WEBHOOKS_MAX}: delete one first"
        raise must_delete_first("webhooks", detail)
    return webhook


async def _answer(claim: Claim, webhook: Webhook, status: int) -> Response:
    shown = new_webhook_resource(webhook)
    await claim.note(webhook.id, shown)
    return JSONResponse(shown.model_dump(mode="json"), status, _location(webhook.id))


async def _repeat(context: Context, earlier: Earlier, status: int) -> Response:
    """Answer as the first time; where that was not written down, with the webhook as it is now."""
    if answer := earlier.replay(status, _location(earlier.id)):
        return answer
    webhook = await to_thread.run_sync(records.find, context.ledger, earlier.id)
    if webhook is None:
        raise not_found("webhook", earlier.id)
    headers = {**_location(earlier.id), **REPLAYED}
    return JSONResponse(new_webhook_resource(webhook).model_dump(mode="json"), status, headers)


def _location(name: str) -> dict[str, str]:
    return {"Location": f"/v1/webhooks/{name}"}


@router.get("", operation_id="listWebhooks", summary="List webhooks", responses=errors(422))
def list_webhooks(context: InContext, owner: Owner) -> WebhookList:
    """Return all of them, newest first."""
    found = records.listed(context.ledger, owner)
    return WebhookList(data=[webhook_resource(one) for one in found])


@router.get(
    "/{id}", operation_id="getWebhook", summary="Read one webhook", responses=errors(404, 422)
)
def get_webhook(webhook: Own) -> WebhookResource:
    """Return address and events."""
    return webhook_resource(webhook)


@router.delete(
    "/{id}",
    status_code=204,
    operation_id="deleteWebhook",
    summary="Delete a webhook",
    responses=errors(404, 422),
)
def delete_webhook(context: InContext, webhook: Own) -> None:
    """Delete it with its deliveries; what is due is not sent any more."""
    records.forget(context.ledger, webhook)


@router.post(
    "/{id}/rotate",
    operation_id="rotateWebhook",
    summary="Replace a webhook's secret",
    response_model=NewWebhookResource,
    responses=errors(404, 409, 413, 422),
)
async def rotate_webhook(
    context: InContext, webhook: Own, claim: InClaim, asked: RotateRequest | None = None
) -> Response:
    """Sign with a new secret, shown this once, and with the old one until the overlap ends."""
    asked = asked or RotateRequest()
    sent = fingerprint(asked, webhook.id)
    if claim.earlier:
        claim.earlier.check(sent)
        return await _repeat(context, claim.earlier, 200)
    rotated = await to_thread.run_sync(_rotate, context, webhook.id, asked, claim.settling(sent))
    return await _answer(claim, rotated, 200)


def _rotate(context: Context, name: str, asked: RotateRequest, reservation: Reservation) -> Webhook:
    overlap_seconds = asked.overlap_seconds
    if records.rotate(context.ledger, name, overlap_seconds, reservation) == "taken":
        raise in_flight()
    webhook = records.find(context.ledger, name)
    if webhook is None:
        raise not_found("webhook", name)
    return webhook


@router.get(
    "/{id}/deliveries",
    operation_id="listDeliveries",
    summary="List a webhook's deliveries, newest first",
    responses=errors(404, 422),
)
def list_deliveries(
    context: InContext, webhook: Own, after: After = None, limit: Limit = 20
) -> DeliveryList:
    """Return a page: what was sent or will be, how often it was tried, and the last answer."""
    found = records.deliveries(context.ledger, webhook.id, after, limit + 1)
    page = [delivery_resource(one) for one in found[:limit]]
    return DeliveryList(data=page, has_more=len(found) > limit)

"""The webhooks of /v1: create, list, read, rotate the secret, look at deliveries, delete."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from headgraft.service.web.context import After, Context, Id, InContext, Limit, Owner
from headgraft.service.web.idempotency import (
    REPLAYED,
    IdempotencyLock,
    InLock,
    StoredResponse,
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
from headgraft.workers.ledger.quota import Reservation

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


async def own_webhook(
    id: Id,  # the template's name
    context: InContext,
    owner: Owner,
) -> Webhook:
    """Return the webhook; another owner's is not found, exactly like one that never was."""
    webhook = await records.find(context.ledger, id)
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
    asked: WebhookRequest, context: InContext, owner: Owner, lock: InLock
) -> Response:
    """Keep the address; `secret` is shown this once.

    Messages are signed as https://www.standardwebhooks.com describes it.
    """
    sent = fingerprint(asked)
    if lock.earlier:
        lock.earlier.check(sent)
        return await _repeat(context, lock.earlier, 201)
    webhook = await _create(context, owner, asked, lock.reservation(sent))
    return await _answer(lock, webhook, 201)


async def _create(
    context: Context, owner: str, asked: WebhookRequest, reservation: Reservation
) -> Webhook:
    allowed = policy_of(context.settings).allowed
    try:
        await to_thread.run_sync(find_target, asked.url, allowed)
    except AddressError as error:
        raise invalid_at("/url", str(error)) from error
    events = list(dict.fromkeys(asked.events))
    webhook = await records.create(
        context.ledger, owner, asked.url, events, asked.description, reservation
    )
    if webhook == "taken":
        raise in_flight()
    if webhook == "full":
        detail = f"there are {WEBHOOKS_MAX} webhooks of at most {WEBHOOKS_MAX}: delete one first"
        raise must_delete_first("webhooks", detail)
    return webhook


async def _answer(lock: IdempotencyLock, webhook: Webhook, status: int) -> Response:
    shown = new_webhook_resource(webhook)
    await lock.save_response(webhook.id, shown)
    return JSONResponse(shown.model_dump(mode="json"), status, _location(webhook.id))


async def _repeat(context: Context, earlier: StoredResponse, status: int) -> Response:
    """Answer as the first time; if that was not stored, with the webhook as it is now."""
    if answer := earlier.replay(status, _location(earlier.id)):
        return answer
    webhook = await records.find(context.ledger, earlier.id)
    if webhook is None:
        raise not_found("webhook", earlier.id)
    headers = {**_location(earlier.id), **REPLAYED}
    return JSONResponse(new_webhook_resource(webhook).model_dump(mode="json"), status, headers)


def _location(name: str) -> dict[str, str]:
    return {"Location": f"/v1/webhooks/{name}"}


@router.get("", operation_id="listWebhooks", summary="List webhooks", responses=errors(422))
async def list_webhooks(context: InContext, owner: Owner) -> WebhookList:
    """Return all of them, newest first."""
    webhooks = await records.listed(context.ledger, owner)
    return WebhookList(data=[webhook_resource(webhook) for webhook in webhooks])


@router.get(
    "/{id}", operation_id="getWebhook", summary="Read one webhook", responses=errors(404, 422)
)
async def get_webhook(webhook: Own) -> WebhookResource:
    """Return address and events."""
    return webhook_resource(webhook)


@router.delete(
    "/{id}",
    status_code=204,
    operation_id="deleteWebhook",
    summary="Delete a webhook",
    responses=errors(404, 422),
)
async def delete_webhook(context: InContext, webhook: Own) -> None:
    """Delete it with its deliveries; what is due is not sent any more."""
    await records.delete(context.ledger, webhook)


@router.post(
    "/{id}/rotate",
    operation_id="rotateWebhook",
    summary="Replace a webhook's secret",
    response_model=NewWebhookResource,
    responses=errors(404, 409, 413, 422),
)
async def rotate_webhook(
    context: InContext, webhook: Own, lock: InLock, asked: RotateRequest | None = None
) -> Response:
    """Sign with a new secret, shown this once, and with the old one until the overlap ends."""
    asked = asked or RotateRequest()
    sent = fingerprint(asked, webhook.id)
    if lock.earlier:
        lock.earlier.check(sent)
        return await _repeat(context, lock.earlier, 200)
    reservation = lock.reservation(sent)
    rotated = await records.rotate(context.ledger, webhook.id, asked.overlap_seconds, reservation)
    if rotated == "taken":
        raise in_flight()
    current = await records.find(context.ledger, webhook.id)
    if current is None:
        raise not_found("webhook", webhook.id)
    return await _answer(lock, current, 200)


@router.get(
    "/{id}/deliveries",
    operation_id="listDeliveries",
    summary="List a webhook's deliveries, newest first",
    responses=errors(404, 422),
)
async def list_deliveries(
    context: InContext, webhook: Own, after: After = None, limit: Limit = 20
) -> DeliveryList:
    """Return a page: what was sent or will be, how often it was tried, and the last answer."""
    deliveries = await records.deliveries(context.ledger, webhook.id, after, limit + 1)
    page = [delivery_resource(delivery) for delivery in deliveries[:limit]]
    return DeliveryList(data=page, has_more=len(deliveries) > limit)

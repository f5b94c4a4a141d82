"""Webhooks and deliveries as a client asks for them and sees them."""

from typing import Literal

from pydantic import BaseModel, Field

from headgraft.service.schemas.injections import timestamp
from headgraft.service.webhooks.records import Delivery, DeliveryStatus, EventType, Webhook
from headgraft.workers.jobs.request import Strict
from headgraft.workers.jobs.texts import Whole

ENDED: list[EventType] = ["injection.succeeded", "injection.failed", "injection.cancelled"]
DAY_SECONDS = 86_400


class WebhookRequest(Strict):
    """`POST /v1/webhooks`: where to tell of what."""

    url: str = Field(
        max_length=2000,
        description="Begins with https://; its name must lead to public addresses alone.",
        examples=["https://example.com/headgraft"],
    )
    events: list[EventType] = Field(
        default=ENDED, min_length=1, max_length=8, description="By default every end of a job."
    )
    description: str = Field(default="", max_length=200)


class RotateRequest(Strict):
    """`POST /v1/webhooks/{id}/rotate`."""

    overlap_seconds: Whole = Field(
        default=DAY_SECONDS,
        ge=0,
        le=7 * DAY_SECONDS,
        description="So long messages are signed with the old secret, too.",
    )


class WebhookResource(BaseModel):
    """An address that hears of the owner's injections."""

    object: Literal["webhook"] = "webhook"
    id: str
    url: str
    description: str
    events: list[EventType]
    created_at: str


class NewWebhookResource(WebhookResource):
    """A webhook with the secret that signs from now on; nobody can read it again."""

    secret: str


class WebhookList(BaseModel):
    """All webhooks of the owner, newest first."""

    object: Literal["list"] = "list"
    data: list[WebhookResource]
    has_more: bool = False


class DeliveryResource(BaseModel):
    """A message to a webhook: `id` is its `webhook-id`, `answer` the last status it got."""

    object: Literal["delivery"] = "delivery"
    id: str
    webhook: str
    type: EventType
    injection: str
    status: DeliveryStatus
    attempts: int
    answer: int | None
    error: str | None
    created_at: str
    next_attempt_at: str | None
    finished_at: str | None


class DeliveryList(BaseModel):
    """A page of deliveries, newest first."""

    object: Literal["list"] = "list"
    data: list[DeliveryResource]
    has_more: bool


def webhook_resource(webhook: Webhook) -> WebhookResource:
    """Show a webhook without its secrets."""
    return WebhookResource(
        **webhook.model_dump(include={"id", "url", "description", "events"}),
        created_at=timestamp(webhook.created_at),
    )


def new_webhook_resource(webhook: Webhook) -> NewWebhookResource:
    """Show a webhook with its newest secret."""
    shown = webhook_resource(webhook).model_dump()
    return NewWebhookResource(**shown, secret=webhook.secrets[0].secret)


def delivery_resource(delivery: Delivery) -> DeliveryResource:
    """Show a delivery."""
    shown = {"id", "webhook", "type", "status", "attempts", "answer", "error"}
    return DeliveryResource(
        **delivery.model_dump(include=shown),
        injection=delivery.job,
        created_at=timestamp(delivery.created_at),
        next_attempt_at=timestamp(delivery.next_at) if delivery.next_at else None,
        finished_at=timestamp(delivery.finished_at) if delivery.finished_at else None,
    )

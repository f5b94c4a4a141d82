"""Webhooks and their deliveries, in Redis.

The scripts that begin and end a job create the deliveries. A deliverer claims one for a lease; it
counts as delivered only when the same claim settles it.
"""

import json
import secrets
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from headgraft.workers.jobs.spec import JobError
from headgraft.workers.ledger.quota import UNRESERVED, Reservation
from headgraft.workers.ledger.scripts import AsyncRedisScripts, Key, Script

EventType = Literal[
    "injection.running", "injection.succeeded", "injection.failed", "injection.cancelled"
]
DeliveryStatus = Literal["pending", "delivered", "failed"]
WEBHOOKS_MAX = 20


class Secret(BaseModel):
    """A signing secret; one that was replaced still signs until then, in ms since 1970."""

    secret: str
    until: int = 0


class Webhook(BaseModel):
    """An address of an owner, and what it hears of."""

    id: str
    owner: str
    url: str
    description: str
    events: list[EventType]
    secrets: list[Secret]
    created_at: int

    def signing(self, now_ms: int) -> list[str]:
        """Return the secrets that sign now, the newest first."""
        return [one.secret for one in self.secrets if one.until == 0 or one.until > now_ms]


class Delivery(BaseModel):
    """One message to one webhook; what it says never changes, whatever the job does since."""

    id: str
    webhook: str
    type: EventType
    job: str
    job_status: str
    job_attempt: int
    job_error: JobError | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    created_at: int
    status: DeliveryStatus
    attempts: int = 0
    next_at: int | None = None
    finished_at: int | None = None
    answer: int | None = None
    error: str | None = None


class Claimed(BaseModel):
    """A delivery to make, by the deliverer that has the token."""

    delivery: Delivery
    webhook: Webhook
    token: str


class CreateWebhook(Script[Literal["kept", "full", "taken"]], name="create_webhook"):
    """Create a webhook, unless its owner has too many."""

    webhooks: Key
    webhook: Key
    id: str
    created_at: int
    webhooks_max: int
    ttl_ms: int
    reservation: Reservation
    fields: Mapping[str, str]


class DeleteWebhook(Script[str], name="delete_webhook"):
    """Delete a webhook and its deliveries."""

    webhooks: Key
    webhook: Key
    sent: Key
    due: Key
    id: str
    prefix: str


class RotateWebhook(Script[Literal["rotated", "missing", "taken"]], name="rotate_webhook"):
    """Put a new secret first; the earlier ones sign on for the overlap."""

    webhook: Key
    id: str
    secret: str
    overlap_ms: int
    ttl_ms: int
    reservation: Reservation


class ClaimDelivery(Script[str], name="claim_delivery"):
    """Claim the delivery that is due the longest."""

    due: Key
    prefix: str
    token: str
    lease_ms: int


class SettleDelivery(Script[Literal["ok", "lost"]], name="settle_delivery"):
    """Note how a claimed delivery went; a pending one is due again after the pause."""

    due: Key
    delivery: Key
    id: str
    token: str
    status: DeliveryStatus
    pause_ms: int
    answer: int | None
    problem: str | None
    retention_ms: int


def fresh_secret() -> str:
    """Return a secret as Standard Webhooks writes it: 32 random bytes."""
    return "whsec_" + b64encode(secrets.token_bytes(32)).decode()


async def create(
    scripts: AsyncRedisScripts,
    owner: str,
    url: str,
    events: list[EventType],
    description: str = "",
    reservation: Reservation = UNRESERVED,
) -> Webhook | Literal["full", "taken"]:
    """Keep a webhook, unless its owner has too many, or another request has the reservation."""
    webhook = Webhook(
        id=f"wh_{secrets.token_hex(12)}",
        owner=owner,
        url=url,
        description=description,
        events=events,
        secrets=[Secret(secret=fresh_secret())],
        created_at=int(time.time() * 1000),
    )
    fields = webhook.model_dump()
    fields["events"], fields["secrets"] = json.dumps(events), json.dumps(fields["secrets"])
    script = CreateWebhook(
        webhooks=scripts.key("webhooks", owner),
        webhook=scripts.key("webhook", webhook.id),
        id=webhook.id,
        created_at=webhook.created_at,
        webhooks_max=WEBHOOKS_MAX,
        ttl_ms=scripts.retention_ms,
        reservation=reservation,
        fields=fields,
    )
    answer = await scripts.run(script)
    return webhook if answer == "kept" else answer


async def find(scripts: AsyncRedisScripts, name: str) -> Webhook | None:
    """Return a webhook; whose it is, is for the caller to check."""
    fields = await scripts.command("hgetall", scripts.key("webhook", name))
    return _webhook(fields) if fields else None


async def listed(scripts: AsyncRedisScripts, owner: str) -> list[Webhook]:
    """Return the owner's webhooks, newest first."""
    names = await scripts.command("zrevrange", scripts.key("webhooks", owner), 0, -1)
    return [_webhook(fields) for fields in await scripts.hashes("webhook", names)]


async def delete(scripts: AsyncRedisScripts, webhook: Webhook) -> None:
    """Delete a webhook with its deliveries, made or not."""
    script = DeleteWebhook(
        webhooks=scripts.key("webhooks", webhook.owner),
        webhook=scripts.key("webhook", webhook.id),
        sent=scripts.key("sent", webhook.id),
        due=scripts.key("due"),
        id=webhook.id,
        prefix=scripts.prefix,
    )
    await scripts.run(script)


async def rotate(
    scripts: AsyncRedisScripts,
    name: str,
    overlap_seconds: int,
    reservation: Reservation = UNRESERVED,
) -> Literal["rotated", "missing", "taken"]:
    """Sign with a new secret from now on, and for a while with the old ones, too.

    Nothing is done where the webhook is gone, or another request has the reservation.
    """
    about = (name, fresh_secret(), overlap_seconds * 1000, scripts.retention_ms)
    return await scripts.run(RotateWebhook(scripts.key("webhook", name), *about, reservation))


async def deliveries(
    scripts: AsyncRedisScripts, webhook: str, after: str | None, limit: int
) -> list[Delivery]:
    """Return up to `limit` deliveries older than `after`, newest first."""
    hashes = await scripts.page("delivery", scripts.key("sent", webhook), after, limit)
    return [_delivery(fields) for fields in hashes]


async def claim(scripts: AsyncRedisScripts, lease_seconds: float) -> Claimed | None:
    """Claim a delivery that is due, and count the attempt; None where none is."""
    token, lease_ms = secrets.token_hex(8), int(lease_seconds * 1000)
    answer = await scripts.run(ClaimDelivery(scripts.key("due"), scripts.prefix, token, lease_ms))
    if not answer:
        return None
    delivery, webhook = (
        dict(zip(flat[::2], flat[1::2], strict=True)) for flat in json.loads(answer)
    )
    return Claimed(delivery=_delivery(delivery), webhook=_webhook(webhook), token=token)


async def settle(
    scripts: AsyncRedisScripts,
    claimed: Claimed,
    *,
    answer: int | None,
    error: str | None,
    pause_seconds: float | None,
) -> bool:
    """Note how an attempt went: without an error it is delivered, with a pause tried again.

    False where the delivery has been claimed by another since, or is gone.
    """
    status: DeliveryStatus = (
        "delivered" if error is None else "failed" if pause_seconds is None else "pending"
    )
    script = SettleDelivery(
        due=scripts.key("due"),
        delivery=scripts.key("delivery", claimed.delivery.id),
        id=claimed.delivery.id,
        token=claimed.token,
        status=status,
        pause_ms=int((pause_seconds or 0) * 1000),
        answer=answer,
        problem=error,
        retention_ms=scripts.retention_ms,
    )
    return await scripts.run(script) == "ok"


def _webhook(fields: dict[str, Any]) -> Webhook:
    listed = {name: json.loads(fields[name]) for name in ("events", "secrets")}
    return Webhook.model_validate({**fields, **listed})


def _delivery(fields: dict[str, Any]) -> Delivery:
    document = {name: value for name, value in fields.items() if value != ""}
    for name in ("job_error", "metadata"):
        if name in document:
            document[name] = json.loads(document[name])
    return Delivery.model_validate(document)

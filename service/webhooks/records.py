"""Webhooks and their deliveries, in the ledger's Redis; it knows neither HTTP nor signatures.

A delivery is made by the scripts that begin and end a job. Whoever takes one on has it for a lease;
it counts as made only when the same holder says so.
"""

import json
import secrets
import time
from base64 import b64encode
from typing import Any, Literal, cast

from pydantic import BaseModel, Field

from headgraft.workers.jobs.quota import UNRESERVED, Reservation
from headgraft.workers.jobs.spec import JobError
from headgraft.workers.ledger.ledger import Ledger

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
    """A delivery to make, by whoever holds the token."""

    delivery: Delivery
    webhook: Webhook
    token: str


def fresh_secret() -> str:
    """Return a secret as Standard Webhooks writes it: 32 random bytes."""
    return "whsec_" + b64encode(secrets.token_bytes(32)).decode()


def create(
    ledger: Ledger,
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
    flat = [part for pair in fields.items() for part in pair]
    keys = [ledger.key("webhooks", owner), ledger.key("webhook", webhook.id), *reservation.keys]
    settled = (reservation.nonce, reservation.fingerprint, ledger.retention_ms)
    said = (webhook.id, webhook.created_at, WEBHOOKS_MAX)
    answer = ledger.run("keep_webhook", keys, *said, *settled, *flat)
    return webhook if answer == "kept" else cast(Literal["full", "taken"], answer)


def find(ledger: Ledger, name: str) -> Webhook | None:
    """Return a webhook; whose it is, is for the caller to check."""
    fields = ledger.ask("hgetall", ledger.key("webhook", name))
    return _webhook(fields) if fields else None


def listed(ledger: Ledger, owner: str) -> list[Webhook]:
    """Return the owner's webhooks, newest first."""
    names = ledger.ask("zrevrange", ledger.key("webhooks", owner), 0, -1)
    return [webhook for name in names if (webhook := find(ledger, name))]


def forget(ledger: Ledger, webhook: Webhook) -> None:
    """Take a webhook away, with its deliveries, made or not."""
    kinds = (("webhooks", webhook.owner), ("webhook", webhook.id), ("sent", webhook.id), ("due",))
    keys = [ledger.key(*parts) for parts in kinds]
    ledger.run("forget_webhook", keys, webhook.id, ledger.prefix)


def rotate(
    ledger: Ledger, name: str, overlap_seconds: int, reservation: Reservation = UNRESERVED
) -> Literal["rotated", "missing", "taken"]:
    """Sign with a new secret from now on, and for a while with the old ones, too.

    Nothing is done where the webhook is gone, or another request has the reservation.
    """
    keys = [ledger.key("webhook", name), *reservation.keys]
    settled = (reservation.nonce, reservation.fingerprint, ledger.retention_ms)
    said = (name, fresh_secret(), overlap_seconds * 1000)
    answer = ledger.run("rotate_webhook", keys, *said, *settled)
    return cast(Literal["rotated", "missing", "taken"], answer)


def deliveries(ledger: Ledger, webhook: str, after: str | None, limit: int) -> list[Delivery]:
    """Return up to `limit` deliveries older than `after`, newest first."""
    index = ledger.key("sent", webhook)
    start = ledger.behind(index, after)
    names = ledger.ask("zrevrange", index, start, start + limit - 1)
    found = ledger.ask_all(("hgetall", ledger.key("delivery", name)) for name in names)
    return [_delivery(fields) for fields in found if fields]


def claim(ledger: Ledger, lease_seconds: float) -> Claimed | None:
    """Take on a delivery that is due, and count the attempt; None where none is."""
    token = secrets.token_hex(8)
    said = ledger.run(
        "claim_delivery", [ledger.key("due")], ledger.prefix, token, int(lease_seconds * 1000)
    )
    if not said:
        return None
    delivery, webhook = (dict(zip(one[::2], one[1::2], strict=True)) for one in json.loads(said))
    return Claimed(delivery=_delivery(delivery), webhook=_webhook(webhook), token=token)


def settle(
    ledger: Ledger,
    claimed: Claimed,
    *,
    answer: int | None,
    error: str | None,
    pause_seconds: float | None,
) -> bool:
    """Note how an attempt went: without an error it is delivered, with a pause tried again.

    False where the delivery is another's by now, or gone.
    """
    status = "delivered" if error is None else "failed" if pause_seconds is None else "pending"
    keys = [ledger.key("due"), ledger.key("delivery", claimed.delivery.id)]
    pause_ms = int((pause_seconds or 0) * 1000)
    said = (claimed.delivery.id, claimed.token, status, pause_ms)
    ended = (answer or "", error or "", ledger.retention_ms)
    return ledger.run("settle_delivery", keys, *said, *ended) == "ok"


def _webhook(fields: dict[str, Any]) -> Webhook:
    listed = {name: json.loads(fields[name]) for name in ("events", "secrets")}
    return Webhook.model_validate({**fields, **listed})


def _delivery(fields: dict[str, Any]) -> Delivery:
    document = {name: value for name, value in fields.items() if value != ""}
    for name in ("job_error", "metadata"):
        if name in document:
            document[name] = json.loads(document[name])
    return Delivery.model_validate(document)

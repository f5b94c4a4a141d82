"""Uploads that are kept to be used again, heads and features, in Redis."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from headgraft.service.web.idempotency import in_flight
from headgraft.service.web.problems import ProblemError, not_found
from headgraft.workers.jobs.spec import FeaturesRecord, HeadRecord
from headgraft.workers.ledger.quota import UNLIMITED, UNRESERVED, Quota, Reservation
from headgraft.workers.ledger.scripts import AsyncRedisScripts, Key, Keyspace, Script
from headgraft.workers.ledger.service_ledger import ServiceLedger

USERS_LISTED_MAX = 100
Upload = TypeVar("Upload", HeadRecord, FeaturesRecord)
UploadKind = type[HeadRecord] | type[FeaturesRecord]


@dataclass(frozen=True)
class UploadKeys:
    """The keys that an upload stands in."""

    index: Key
    stored: Key
    record: Key


class CreateUpload(Script[str], name="create_upload"):
    """Create an upload's record, if its owner has room for it."""

    keys: UploadKeys
    id: str
    created_at: int
    bytes: int
    ttl_ms: int
    quota: Quota
    reservation: Reservation
    fields: Mapping[str, str]


class DeleteUpload(Script[str], name="delete_upload"):
    """Delete an upload's record and its entries elsewhere, unless a live job needs it."""

    keys: UploadKeys
    used: Key
    id: str


async def create(
    scripts: AsyncRedisScripts,
    record: HeadRecord | FeaturesRecord,
    quota: Quota = UNLIMITED,
    reservation: Reservation = UNRESERVED,
) -> None:
    """Keep an upload until it is deleted; QuotaError where its owner has no room for it.

    409 where another request has the reservation.
    """
    body = record.head if isinstance(record, HeadRecord) else record.features
    fields = {**dict(record), record.BODY: body.model_dump_json()}
    keys = _keys(scripts, type(record), record.id, record.owner)
    about = (record.id, record.created_at, body.bytes, scripts.retention_ms)
    answer = await scripts.run(CreateUpload(keys, *about, quota, reservation, fields))
    if answer == "taken":
        raise in_flight()
    quota.check(answer, body.bytes)


async def find(
    scripts: AsyncRedisScripts, kind: type[Upload], name: str, owner: str
) -> Upload | None:
    """Return an owner's upload; None where there is none, or it is another's."""
    fields: dict[str, str] = await scripts.command("hgetall", scripts.key(kind.KIND, name))
    if not fields or fields["owner"] != owner:
        return None
    return _record(kind, fields)


async def get(
    scripts: AsyncRedisScripts,
    kind: type[Upload],
    name: str,
    owner: str,
    pointer: str | None = None,
) -> Upload:
    """Return an owner's upload; 404 where there is none, `pointer` says where it was named."""
    record = await find(scripts, kind, name, owner)
    if record is None:
        raise not_found(kind.BODY, name, pointer)
    return record


async def page(
    scripts: AsyncRedisScripts, kind: type[Upload], owner: str, *, after: str | None, limit: int
) -> list[Upload]:
    """Return up to `limit` of the owner's uploads older than `after`, newest first."""
    hashes = await scripts.page(kind.KIND, _index(scripts, kind, owner), after, limit)
    return [_record(kind, fields) for fields in hashes]


async def delete(ledger: ServiceLedger, kind: type[Upload], name: str, owner: str) -> None:
    """Delete an owner's upload; 404 where there is none, 409 while a live job needs it.

    The 409 lists a hundred of them at most. A job that is created at this very moment may miss its
    file and fail.
    """
    await get(ledger, kind, name, owner)
    used = ledger.key("used", name)
    if await ledger.run(DeleteUpload(_keys(ledger, kind, name, owner), used, name)) == "used":
        users = sorted(await ledger.command("srandmember", used, USERS_LISTED_MAX))
        detail = f"{kind.BODY} {name} is needed by {', '.join(users[:5])}, queued or running"
        raise ProblemError(409, "conflict", detail, extra={"injections": users})


def _record(kind: type[Upload], fields: dict[str, str]) -> Upload:
    return kind.model_validate({**fields, kind.BODY: json.loads(fields[kind.BODY])})


def _keys(keyspace: Keyspace, kind: UploadKind, name: str, owner: str) -> UploadKeys:
    stored, record = keyspace.key("stored", owner), keyspace.key(kind.KIND, name)
    return UploadKeys(_index(keyspace, kind, owner), stored, record)


def _index(keyspace: Keyspace, kind: UploadKind, owner: str) -> Key:
    return keyspace.key(f"{kind.KIND}s", owner)

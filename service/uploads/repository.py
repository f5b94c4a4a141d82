"""What an owner has uploaded to use again: heads and labelled features, in the ledger's Redis.

It knows the keys, and nothing of files or of how uploads are checked.
"""

import json
from collections.abc import Iterator
from typing import TypeVar

from headgraft.service.web.idempotency import in_flight
from headgraft.service.web.problems import ProblemError, not_found
from headgraft.workers.jobs.quota import UNLIMITED, UNRESERVED, Quota, Reservation
from headgraft.workers.jobs.spec import FeaturesRecord, HeadRecord, Record
from headgraft.workers.ledger.ledger import Ledger

Upload = TypeVar("Upload", HeadRecord, FeaturesRecord)
PAGE = 100


def keep(
    ledger: Ledger,
    record: HeadRecord | FeaturesRecord,
    quota: Quota = UNLIMITED,
    reservation: Reservation = UNRESERVED,
) -> None:
    """Keep an upload until it is forgotten; QuotaError where its owner has no room for it.

    409 where another request has the reservation.
    """
    body = record.head if isinstance(record, HeadRecord) else record.features
    fields = {**dict(record), record.BODY: body.model_dump_json()}
    size = body.bytes
    keys = [*_keys(ledger, type(record), record.id, record.owner), *reservation.keys]
    _, bytes_max = quota.said
    said = (record.id, record.created_at, size, bytes_max)
    settled = (reservation.nonce, reservation.fingerprint, ledger.retention_ms)
    flat = (part for pair in fields.items() for part in pair)
    answer = ledger.run("keep", keys, *said, *settled, *flat)
    if answer == "taken":
        raise in_flight()
    quota.check(answer, size)


def find(ledger: Ledger, kind: type[Upload], name: str, owner: str) -> Upload | None:
    """Return an owner's upload; None where there is none, or it is another's."""
    fields: dict[str, str] = ledger.ask("hgetall", ledger.key(kind.KIND, name))
    if not fields or fields["owner"] != owner:
        return None
    return kind.model_validate({**fields, kind.BODY: json.loads(fields[kind.BODY])})


def get(ledger: Ledger, kind: type[Upload], name: str, owner: str) -> Upload:
    """Return an owner's upload; 404 where there is none."""
    record = find(ledger, kind, name, owner)
    if record is None:
        raise not_found(kind.BODY, name)
    return record


def page(
    ledger: Ledger, kind: type[Upload], owner: str, *, after: str | None, limit: int
) -> list[Upload]:
    """Return up to `limit` of the owner's uploads older than `after`, newest first."""
    index = _index(ledger, kind, owner)
    start = ledger.behind(index, after)
    names = ledger.ask("zrevrange", index, start, start + limit - 1)
    return [record for name in names if (record := find(ledger, kind, name, owner))]


def forget(ledger: Ledger, kind: type[Upload], name: str, owner: str) -> None:
    """Take an owner's upload away; 404 where there is none, 409 while a live job needs it.

    A job that is created at this very moment may miss its file and fail.
    """
    get(ledger, kind, name, owner)
    users = [job.id for job in _live(ledger) if _uses(job, kind.BODY, name)]
    if users:
        detail = f"{kind.BODY} {name} is needed by {', '.join(users[:5])}, queued or running"
        raise ProblemError(409, "conflict", detail, extra={"injections": users})
    ledger.run("remove", _keys(ledger, kind, name, owner), name)


def _live(ledger: Ledger) -> Iterator[Record]:
    """Yield every queued or running job: the queue holds one message for each."""
    start = "-"
    while entries := ledger.ask("xrange", ledger.key("queue"), start, "+", PAGE):
        for entry, fields in entries:
            record = ledger.get(fields["job"])
            if record:
                yield record
            start = f"({entry}"


def _uses(job: Record, body: str, name: str) -> bool:
    used = job.summary.head if body == HeadRecord.BODY else job.summary.features
    return used is not None and used.id == name


def _keys(
    ledger: Ledger, kind: type[HeadRecord] | type[FeaturesRecord], name: str, owner: str
) -> list[str]:
    """Return index, stored and record."""
    record = ledger.key(kind.KIND, name)
    return [_index(ledger, kind, owner), ledger.key("stored", owner), record]


def _index(ledger: Ledger, kind: type[HeadRecord] | type[FeaturesRecord], owner: str) -> str:
    return ledger.key(f"{kind.KIND}s", owner)

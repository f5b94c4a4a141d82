"""Tells whether a store belongs to a Redis: else no file may go that this Redis does not name.

Both hold the same id, and a count of the janitors' turns. A Redis without the id is empty or a
wrong one; a count that is lower than the store's is that of an older copy of Redis.
"""

import re
import secrets

from pydantic import BaseModel, ValidationError

from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.store import Missing, Store

MARK_FILE = "headgraft-store.json"
CLOCK_FILE = "headgraft-clock"
# An owner, then a job and what lies under it, or an upload named after its job or record.
PATH = re.compile(r"[^/]+/(?:(?P<job>inj_\w+)/(?P<rest>.+)|uploads/(?P<upload>\w+)/.+)")
# A Redis that loses its last second, or fails over, may have lost one turn.
TURNS_LOST_MAX = 1
CLOCKS_APART_MAX_SECONDS = 600.0


class Mark(BaseModel):
    """What a store and its Redis hold alike."""

    id: str
    turn: int


class ForeignStoreError(Exception):
    """The store cannot be shown to belong to this Redis; the text says why."""


def read_mark(store: Store) -> Mark | None:
    """Return what the store holds; None where it has no mark yet."""
    try:
        return Mark.model_validate_json(store.read(MARK_FILE))
    except Missing:
        return None
    except ValidationError as error:
        raise ForeignStoreError(f"the store's {MARK_FILE} cannot be read") from error


def complaint(known: Mark | None, mark: Mark | None) -> str | None:
    """Say why the store that has `mark` is not that of the Redis that has `known`; None: it is."""
    if mark is None:
        return None
    if known is None:
        return (
            "the store belongs to another Redis, and this one has no data: they are lost, or it is "
            "the wrong server or database"
        )
    if mark.id != known.id:
        return "the store belongs to another Redis"
    if mark.turn > known.turn + TURNS_LOST_MAX:
        return (
            f"this Redis is an older copy than the store's: it counts {known.turn} turns of the "
            f"janitor, the store {mark.turn}"
        )
    return None


def known_mark(fields: dict[str, str]) -> Mark | None:
    """Return what Redis holds, as its hash `store` has it."""
    return Mark.model_validate(fields) if fields else None


def check(ledger: Ledger, store: Store) -> None:
    """Return where the store is this Redis's; ForeignStoreError where that cannot be shown.

    A store without a mark is where it is empty, or Redis names a file in it.
    """
    mark = read_mark(store)
    if reason := complaint(_known(ledger), mark):
        raise ForeignStoreError(reason)
    if mark is None and not _is_ours(ledger, store):
        raise ForeignStoreError("the store holds files, and this Redis names none of them")


def take_turn(ledger: Ledger, store: Store) -> float:
    """Check the store, count a janitor's turn on both sides, and return the store's time."""
    check(ledger, store)
    known = _known(ledger)
    _write(ledger, store, known.turn + 1 if known else 1)
    return store_time(ledger, store)


def adopt(ledger: Ledger, store: Store) -> None:
    """Mark the store as this Redis's, whatever it was."""
    try:
        mark = read_mark(store)
    except ForeignStoreError:
        mark = None
    turns = [one.turn for one in (_known(ledger), mark) if one]
    _write(ledger, store, max(turns, default=0) + 1)


def store_time(ledger: Ledger, store: Store) -> float:
    """Return the time in seconds since 1970, as the store dates a file that is written now.

    ForeignStoreError where Redis's time is another.
    """
    store.write(CLOCK_FILE, b"")
    now = store.written_at(CLOCK_FILE)
    store.delete(CLOCK_FILE)
    seconds, _ = ledger.command("time")
    if abs(now - seconds) > CLOCKS_APART_MAX_SECONDS:
        raise ForeignStoreError(
            f"the clocks of the store and of Redis are {abs(now - seconds):.0f} s apart: nobody "
            "can tell what is old"
        )
    return now


def _known(ledger: Ledger) -> Mark | None:
    return known_mark(ledger.command("hgetall", ledger.key("store")))


def _write(ledger: Ledger, store: Store, turn: int) -> None:
    """Redis first: where it loses the turn, the store may be ahead by that one."""
    key = ledger.key("store")
    ledger.command("hsetnx", key, "id", secrets.token_hex(16))
    ledger.command("hset", key, "turn", turn)
    mark = Mark(id=ledger.command("hget", key, "id"), turn=turn)
    store.write(MARK_FILE, mark.model_dump_json().encode())


def is_named(ledger: Ledger, path: str) -> bool:
    """Tell whether a record names a path, or the path is none of a job or an upload."""
    found = PATH.fullmatch(path)
    if not found:
        return True  # not ours to judge
    if found["upload"]:
        kinds = ("job", "head", "feature")
        keys = [ledger.key(kind, found["upload"]) for kind in kinds]
        return bool(ledger.command("exists", *keys))
    record = ledger.get(found["job"])
    if record is None:
        return False
    kept = [record.token] if record.token else []
    if record.manifest:
        kept.append(record.manifest.prefix.rstrip("/").rpartition("/")[2])
    return path == record.spec or found["rest"].split("/")[0] in kept


def _is_ours(ledger: Ledger, store: Store) -> bool:
    paths = [path for path in store.paths("") if PATH.fullmatch(path)]
    return not paths or any(_is_known(ledger, path) for path in paths)


def _is_known(ledger: Ledger, path: str) -> bool:
    """Tell whether a record names a path, or its owner's list still has its job."""
    found = PATH.fullmatch(path)
    assert found is not None
    listed = ledger.key("jobs", path.partition("/")[0])
    job = found["job"] or found["upload"]
    return is_named(ledger, path) or ledger.command("zscore", listed, job) is not None

"""The keys that the command line creates, in the ledger's Redis.

Redis holds a key's id, owner, limits and the SHA-256 of its secret, never the key. The secret is
256 random bits: nobody finds it by guessing, so that a slow hash (bcrypt, argon2), which protects
passwords that people choose, would only make every request slow.
"""

import hashlib
import hmac
import re
import secrets
import time
from typing import Any

import redis
from pydantic import BaseModel

from headgraft.service.config import OWNER_PATTERN
from headgraft.service.web.key_limits import KeyLimits
from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.ledger.scripts import LedgerError

PATTERN = re.compile(r"hg_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
# No secret has it: an unknown id is compared with something, too.
NO_DIGEST = "0" * 64


class KeyringError(Exception):
    """The command cannot be carried out; the text says why."""


class CreatedKey(BaseModel):
    """A key as the ledger holds it; times are milliseconds since 1970. A revoked one opens nothing.

    Revoked keys stay listed: where a key was ever created, no request goes without.
    """

    id: str
    owner: str
    label: str = ""
    digest: str
    limits: KeyLimits = KeyLimits()
    created_at: int
    revoked_at: int | None = None


def create(ledger: Ledger, owner: str, label: str, limits: KeyLimits) -> tuple[CreatedKey, str]:
    """Create a key; return it and its text, which nobody can read again."""
    if not OWNER_PATTERN.fullmatch(owner):
        raise KeyringError(
            f"owner {owner!r:.80} must be of at most 63 characters a-z, 0-9, _ and -"
        )
    secret = secrets.token_urlsafe(32)
    key = CreatedKey(
        id=secrets.token_hex(6),
        owner=owner,
        label=label,
        digest=_digest(secret),
        limits=limits,
        created_at=_now_ms(),
    )
    _write(ledger, key)
    return key, f"hg_{key.id}_{secret}"


def listed(ledger: Ledger) -> list[CreatedKey]:
    """Return every key, the oldest first."""
    names = ledger.ask("zrange", ledger.key("apikeys"), 0, -1)
    return [key for name in names if (key := _read(ledger, name))]


def revoke(ledger: Ledger, name: str) -> CreatedKey:
    """Make a key open nothing from the next request on; KeyringError where there is none."""
    key = _read(ledger, name)
    if key is None:
        raise KeyringError(f"there is no key {name!r:.80}; `headgraft keys list` shows the ids")
    if key.revoked_at is None:
        key = key.model_copy(update={"revoked_at": _now_ms()})
        _write(ledger, key)
    return key


def find(ledger: Ledger, text: str) -> CreatedKey | None:
    """Return the key that this is the text of; None for any other text, and for a revoked key."""
    parts = PATTERN.fullmatch(text)
    if parts is None:
        return None
    key = _read(ledger, parts[1])
    is_right = hmac.compare_digest(_digest(parts[2]), key.digest if key else NO_DIGEST)
    return key if key and is_right and key.revoked_at is None else None


def is_empty(ledger: Ledger) -> bool:
    """Tell whether no key was ever created."""
    return not ledger.ask("exists", ledger.key("apikeys"))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _now_ms() -> int:
    return int(time.time() * 1000)


def _read(ledger: Ledger, name: str) -> CreatedKey | None:
    text: Any = ledger.ask("get", ledger.key("apikey", name))
    return CreatedKey.model_validate_json(text) if text else None


def _write(ledger: Ledger, key: CreatedKey) -> None:
    with ledger.client.pipeline(transaction=True) as pipe:
        pipe.set(ledger.key("apikey", key.id), key.model_dump_json())
        pipe.zadd(ledger.key("apikeys"), {key.id: key.created_at})
        try:
            pipe.execute()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise LedgerError(f"Redis does not answer: {error}") from error

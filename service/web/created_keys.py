"""Keys in Redis: the command line creates, lists and revokes them, the service looks them up.

Redis holds a key's id, owner, limits and the SHA-256 of its secret, never the key. The secret is
256 random bits: nobody finds it by guessing, so that a slow hash (bcrypt, argon2), which protects
passwords that people choose, would only make every request slow.
"""

import hashlib
import hmac
import re
import secrets
import time

from pydantic import BaseModel

from headgraft.service.config import OWNER_PATTERN
from headgraft.service.web.key_limits import KeyLimits
from headgraft.workers.ledger.scripts import (
    AsyncRedisScripts,
    Key,
    Keyspace,
    RedisScripts,
    ledger_errors,
)

PATTERN = re.compile(r"hg_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
# The digest of no secret: an unknown id takes as long to refuse as a wrong secret.
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


def create(
    scripts: RedisScripts, owner: str, label: str, limits: KeyLimits
) -> tuple[CreatedKey, str]:
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
    _write(scripts, key)
    return key, f"hg_{key.id}_{secret}"


def listed(scripts: RedisScripts) -> list[CreatedKey]:
    """Return every key, the oldest first."""
    names = scripts.command("zrange", scripts.key("apikeys"), 0, -1)
    texts = [scripts.command("get", _key(scripts, name)) for name in names]
    return [CreatedKey.model_validate_json(text) for text in texts if text]


def revoke(scripts: RedisScripts, name: str) -> CreatedKey:
    """Make a key open nothing from the next request on; KeyringError where there is none."""
    text = scripts.command("get", _key(scripts, name))
    if text is None:
        raise KeyringError(f"there is no key {name!r:.80}; `headgraft keys list` shows the ids")
    key = CreatedKey.model_validate_json(text)
    if key.revoked_at is None:
        key = key.model_copy(update={"revoked_at": _now_ms()})
        _write(scripts, key)
    return key


async def find(scripts: AsyncRedisScripts, text: str) -> CreatedKey | None:
    """Return the key that has this text; None for any other text, and for a revoked key."""
    parts = PATTERN.fullmatch(text)
    if parts is None:
        return None
    document = await scripts.command("get", _key(scripts, parts[1]))
    key = CreatedKey.model_validate_json(document) if document else None
    is_right = hmac.compare_digest(_digest(parts[2]), key.digest if key else NO_DIGEST)
    return key if key and is_right and key.revoked_at is None else None


async def is_empty(scripts: AsyncRedisScripts) -> bool:
    """Tell whether no key was ever created."""
    return not await scripts.command("exists", scripts.key("apikeys"))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _now_ms() -> int:
    return int(time.time() * 1000)


def _key(keyspace: Keyspace, name: str) -> Key:
    return keyspace.key("apikey", name)


def _write(scripts: RedisScripts, key: CreatedKey) -> None:
    with ledger_errors(), scripts.client.pipeline(transaction=True) as pipe:
        pipe.set(_key(scripts, key.id), key.model_dump_json())
        pipe.zadd(scripts.key("apikeys"), {key.id: key.created_at})
        pipe.execute()

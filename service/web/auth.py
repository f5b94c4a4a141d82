"""Identifies who sends a request: by a key of the settings, a created one, or none on loopback."""

import hmac
import time
from dataclasses import dataclass

from headgraft.service.config import LOCAL_OWNER, ServiceSettings
from headgraft.service.web import created_keys
from headgraft.service.web.key_limits import KeyLimits, limits_of
from headgraft.workers.environment import ConfigError
from headgraft.workers.ledger.scripts import AsyncRedisScripts, LedgerError, RedisScripts
from headgraft.workers.urls import is_loopback

SCHEME = "bearer "
NO_KEY = "none"
# How long a service without keys may stay open after its first key was created.
OPEN_SECONDS = 1.0


@dataclass(frozen=True)
class Identity:
    """Whose objects a request is about, which key says so, and what that key allows."""

    owner: str
    key: str
    limits: KeyLimits


class Authenticator:
    """Looks a key up among those of the settings, then among the created ones in Redis."""

    def __init__(self, settings: ServiceSettings, scripts: AsyncRedisScripts) -> None:
        self._settings = settings
        self._scripts = scripts
        self._may_be_open = not settings.keys and is_loopback(settings.host)
        self._asked_at = 0.0
        self._is_open: bool | None = None

    async def identify(self, authorization: str, *, is_free: bool) -> Identity | None:
        """Return who sends this Authorization header; None for an unknown or missing key.

        For a path that is free of keys Redis is not asked. LedgerError when it is away.
        """
        token = bearer(authorization)
        identity = self._find_set(token)
        if identity or is_free:
            return identity or (
                self._local if self._may_be_open and self._is_open is not False else None
            )
        if created_keys.PATTERN.fullmatch(token):
            identity = await self._find_created(token)
        if identity is None and self._may_be_open:
            await self._ask_whether_open()
        return identity or (self._local if self._is_open else None)

    @property
    def _local(self) -> Identity:
        """Everybody, where no key is asked for."""
        return Identity(LOCAL_OWNER, NO_KEY, limits_of(self._settings, LOCAL_OWNER))

    async def _ask_whether_open(self) -> None:
        """Ask Redis once a second; who asks meanwhile is answered by what is known."""
        if self._is_open is not None:
            if time.monotonic() - self._asked_at < OPEN_SECONDS:
                return
            self._asked_at = time.monotonic()
        try:
            self._is_open = await created_keys.is_empty(self._scripts)
        except LedgerError:
            if self._is_open is None:
                raise
        self._asked_at = time.monotonic()

    def _find_set(self, token: str) -> Identity | None:
        """Return who holds a key of the settings.

        Takes the same time whichever key matches: every key is compared, none shortens the loop.
        """
        given = token.encode("utf-8", "surrogateescape")
        identity = None
        for number, (owner, key) in enumerate(self._settings.keys, 1):
            if hmac.compare_digest(given, key.encode()):
                identity = Identity(owner, f"set-{number}", limits_of(self._settings, owner))
        return identity

    async def _find_created(self, token: str) -> Identity | None:
        key = await created_keys.find(self._scripts, token)
        if key is None:
            return None
        return Identity(key.owner, key.id, key.limits.over(limits_of(self._settings, key.owner)))


def bearer(authorization: str) -> str:
    """Return the key in an Authorization header; empty where there is none."""
    scheme, token = authorization[: len(SCHEME)], authorization[len(SCHEME) :].strip()
    return token if scheme.lower() == SCHEME else ""


def refuse_unguarded(settings: ServiceSettings, scripts: RedisScripts) -> None:
    """Return where the service may listen as the settings say; ConfigError where it needs a key."""
    if settings.keys or is_loopback(settings.host):
        return
    try:
        is_unguarded = not created_keys.listed(scripts)
    except LedgerError as error:
        text = f"without HEADGRAFT_API_KEYS a created key is needed, and none can be seen: {error}"
        raise ConfigError(text) from error
    if is_unguarded:
        raise ConfigError(
            f"without HEADGRAFT_API_KEYS or a created key the service listens on loopback only, "
            f"not on {settings.host!r}: `headgraft keys create OWNER`, or set HEADGRAFT_API_KEYS, "
            "or HEADGRAFT_HOST to 127.0.0.1, ::1 or localhost"
        )

"""Calls of the Redis server, commands and scripts alike, each of which may go unanswered.

It knows no key but their common prefix.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from headgraft.workers.environment import ConfigError, check_redis_url

PREFIX = "headgraft:"
SCRIPTS = Path(__file__).with_name("lua")


class LedgerError(Exception):
    """Redis did not answer in time; nothing is known about the call's effect."""


class LedgerFullError(LedgerError):
    """Redis has reached its memory limit and takes nothing more; it is alive."""


class UnknownCursorError(Exception):
    """A page was asked for behind an entry that is not in the list (any more)."""


def connect(url: str, *, retries: int = 3, timeout_seconds: float = 5.0) -> "redis.Redis":
    """Return a client that repeats a call which fails or is not answered within the time.

    ConfigError for a URL that no client can be made of; it shows no part of it.
    """
    try:
        check_redis_url(url)
    except ConfigError as error:
        raise ConfigError(f"HEADGRAFT_REDIS_URL: {error}") from None
    backoff = ExponentialWithJitterBackoff(cap=1.0, base=0.05)
    retry = Retry(backoff, retries)
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        retry=retry,
        health_check_interval=0,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
    )


class RedisScripts:
    """A client with our scripts, each safe to repeat."""

    def __init__(self, client: "redis.Redis", prefix: str) -> None:
        self.client = client
        self.prefix = prefix
        shared = (SCRIPTS / "_shared.lua").read_text()
        self._scripts = {
            path.stem: client.register_script(shared + path.read_text())
            for path in SCRIPTS.glob("*.lua")
            if path.stem != "_shared"
        }

    def key(self, *parts: str) -> str:
        """Return the full name of a key: prefix, then the parts joined by colons."""
        return self.prefix + ":".join(parts)

    def run(self, script: str, keys: list[str], *arguments: str | float) -> str:
        """Run one of the scripts; LedgerError where the server does not answer."""
        try:
            return cast(str, self._scripts[script](keys=keys, args=arguments))
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise LedgerError(f"Redis does not answer: {error}") from error
        except redis.OutOfMemoryError as error:
            raise LedgerFullError(f"Redis is full: {error}") from error

    def ask(self, command: str, *arguments: object) -> Any:
        """Call a command of the server; LedgerError where it does not answer."""
        return self.ask_all([(command, *arguments)])[0]

    def ask_all(self, commands: Iterable[tuple[object, ...]]) -> list[Any]:
        """Call commands in one trip; LedgerError where the server does not answer."""
        try:
            with self.client.pipeline(transaction=False) as pipe:
                for command, *arguments in commands:
                    getattr(pipe, str(command))(*arguments)
                return pipe.execute()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise LedgerError(f"Redis does not answer: {error}") from error
        except redis.OutOfMemoryError as error:
            raise LedgerFullError(f"Redis is full: {error}") from error

    def behind(self, index: str, after: str | None) -> int:
        """Return the rank behind an entry, from the newest on; UnknownCursorError without it."""
        if after is None:
            return 0
        rank = self.ask("zrevrank", index, after)
        if rank is None:
            raise UnknownCursorError(f"there is no {after!r:.80} to go on behind")
        return int(rank) + 1

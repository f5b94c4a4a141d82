"""Redis behind Sentinels: reads `redis+sentinel://` URLs and makes clients that follow a failover.

The URL is `redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/MASTER?db=0`: the user of Redis, the
Sentinels' addresses, the name they know the master by. `rediss+sentinel` speaks TLS to all of them.
The Sentinels' own user goes into `sentinel_username` and `sentinel_password`.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import redis
from redis import asyncio as redis_async
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import parse_url as untyped_parse_url
from redis.retry import Retry

# redis-py gives these no types.
parse_url: Any = untyped_parse_url
Sentinel: Any = redis.Sentinel
AsyncSentinel: Any = redis_async.Sentinel
SCHEMES = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
PORT = 26_379
# A Sentinel that does not answer must leave time to ask the next.
ASK_SECONDS = 1.0


@dataclass(frozen=True)
class SentinelUrl:
    """The parts of a URL, as redis-py takes them."""

    sentinels: list[tuple[str, int]]
    master: str
    options: dict[str, Any]
    sentinel_options: dict[str, Any]


def is_sentinel(url: str) -> bool:
    """Tell whether a URL names Sentinels."""
    return url.partition("://")[0] in SCHEMES


def parse(url: str) -> SentinelUrl:
    """Read a URL; ValueError where it is none of this form."""
    parts = urlsplit(url)
    user, at, places = parts.netloc.rpartition("@")
    master = unquote(parts.path.removeprefix("/"))
    sentinels = [_address(place) for place in places.split(",")]
    if not master or "/" in master:
        raise ValueError("the URL names no master")
    options = parse_url(f"{SCHEMES[parts.scheme]}://{user}{at}host?{parts.query}")
    for name in ("host", "connection_class"):
        options.pop(name, None)
    options["ssl"] = parts.scheme.startswith("rediss")
    own = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    tls = {name: value for name, value in options.items() if name.startswith("ssl")}
    return SentinelUrl(sentinels, master, options, {**own, **tls})


class _Pool(redis.SentinelConnectionPool):
    """Closes the connections to the Sentinels with the rest."""

    def disconnect(self, inuse_connections: bool = True) -> None:
        super().disconnect(inuse_connections)
        if inuse_connections:
            self.sentinel_manager.close()


class _AsyncPool(redis_async.SentinelConnectionPool):
    """Closes the connections to the Sentinels with the rest."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        if inuse_connections:
            await self.sentinel_manager.aclose()


def client(url: str, **options: Any) -> "redis.Redis":
    """Return a blocking client of the master, whichever that is."""
    master: redis.Redis = _master(url, options, Sentinel, Retry(NoBackoff(), 0), _Pool)
    return master


def client_async(url: str, **options: Any) -> "redis_async.Redis":
    """Return an asyncio client of the master, whichever that is."""
    retry = AsyncRetry(NoBackoff(), 0)
    master: redis_async.Redis = _master(url, options, AsyncSentinel, retry, _AsyncPool)
    return master


def _master(
    url: str, options: dict[str, Any], sentinel: Any, retry: Retry | AsyncRetry, pool: type
) -> Any:
    parts = parse(url)
    ask = {**parts.sentinel_options, **_timeouts(options), "retry": retry}
    about = {**parts.options, **options, "connection_pool_class": pool}
    return sentinel(parts.sentinels, sentinel_kwargs=ask).master_for(parts.master, **about)


def _timeouts(options: dict[str, Any]) -> dict[str, float]:
    seconds = min(ASK_SECONDS, options.get("socket_timeout", ASK_SECONDS))
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds}


def _address(place: str) -> tuple[str, int]:
    parts = urlsplit(f"//{place}")
    if not parts.hostname:
        raise ValueError("the URL names a Sentinel without a host")
    return parts.hostname, parts.port or PORT

"""Makes clients of the Redis that a URL names, for a blocking and an asyncio program alike."""

from typing import Any

import redis
from redis import asyncio as redis_async
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from headgraft.workers import sentinel
from headgraft.workers.environment import ConfigError, check_redis_url


def connect(url: str, *, retries: int = 3, timeout_seconds: float = 5.0) -> "redis.Redis":
    """Return a client that repeats a call which fails or is not answered within the time.

    ConfigError for a URL that no client can be made of; it shows no part of it.
    """
    options = _options(url, Retry(_backoff(), retries), timeout_seconds)
    if sentinel.is_sentinel(url):
        return sentinel.client(url, **options)
    return redis.Redis.from_url(url, **options)


def connect_async(
    url: str, *, retries: int = 3, timeout_seconds: float = 5.0
) -> "redis_async.Redis":
    """Return an asyncio client over one pool of connections, which it opens when it first needs.

    Its errors are those of `connect`.
    """
    options = _options(url, AsyncRetry(_backoff(), retries), timeout_seconds)
    if sentinel.is_sentinel(url):
        return sentinel.client_async(url, **options)
    return redis_async.Redis.from_url(url, **options)


def _backoff() -> ExponentialWithJitterBackoff:
    return ExponentialWithJitterBackoff(cap=1.0, base=0.05)


def _options(url: str, retry: Retry | AsyncRetry, timeout_seconds: float) -> dict[str, Any]:
    try:
        check_redis_url(url)
    except ConfigError as error:
        raise ConfigError(f"HEADGRAFT_REDIS_URL: {error}") from None
    return {
        "decode_responses": True,
        "retry": retry,
        "health_check_interval": 0,
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
    }

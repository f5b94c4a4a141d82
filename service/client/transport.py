"""Sends requests with httpx, asynchronously or blocking.

The calls are coroutines. Over `BlockingTransport` none of them ever waits for an event loop, so
that `run` can execute one where there is none.
"""

import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import anyio
import anyio.to_thread
import httpx

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """A response whose content has not been read yet: take it by lines, by chunks, or whole."""

    reply: httpx.Response
    lines: AsyncIterator[str]
    chunks: AsyncIterator[bytes]
    whole: "Reading"


class Reading(Protocol):
    """Reads the content into the response."""

    async def __call__(self) -> object: ...


class Transport(Protocol):
    """A connection to one service."""

    async def request(self, verb: str, path: str, **options: Any) -> httpx.Response:
        """Send a request and return its response; httpx.TransportError where none comes."""
        ...

    def stream(self, verb: str, path: str, **options: Any) -> AbstractAsyncContextManager[Answer]:
        """Send a request; its answer is read inside of the block."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...

    async def compute(self, work: Callable[[], T]) -> T:
        """Do work that takes long, and return what it returns."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True)
class AwaitedTransport:
    """Calls of a program with an event loop; files are read and written between its turns."""

    http: httpx.AsyncClient

    async def request(self, verb: str, path: str, **options: Any) -> httpx.Response:
        return await self.http.request(verb, path, **options)

    @asynccontextmanager
    async def stream(self, verb: str, path: str, **options: Any) -> AsyncIterator[Answer]:
        async with self.http.stream(verb, path, **options) as reply:
            yield Answer(reply, reply.aiter_lines(), reply.aiter_bytes(), reply.aread)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def compute(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work)

    async def close(self) -> None:
        await self.http.aclose()


@dataclass(frozen=True)
class BlockingTransport:
    """Calls of a program without an event loop: each blocks, and none waits."""

    http: httpx.Client

    async def request(self, verb: str, path: str, **options: Any) -> httpx.Response:
        return self.http.request(verb, path, **options)

    @asynccontextmanager
    async def stream(self, verb: str, path: str, **options: Any) -> AsyncIterator[Answer]:
        with self.http.stream(verb, path, **options) as reply:

            async def read() -> bytes:
                return reply.read()

            yield Answer(reply, _Each(reply.iter_lines()), _Each(reply.iter_bytes()), read)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def compute(self, work: Callable[[], T]) -> T:
        return work()

    async def close(self) -> None:
        self.http.close()


class _Each(AsyncIterator[T], Generic[T]):
    """What an iterator yields, for who awaits it."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items

    async def __anext__(self) -> T:
        try:
            return next(self._items)
        except StopIteration:
            raise StopAsyncIteration from None


def run(call: Coroutine[Any, Any, T]) -> T:
    """Carry out a call over `BlockingTransport` and return what it returns."""
    try:
        call.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    call.close()
    raise AssertionError("a call over BlockingTransport waited for an event loop")

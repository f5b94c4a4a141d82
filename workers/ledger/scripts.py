"""Commands and Lua scripts of Redis, for a blocking and an asyncio client alike."""

import asyncio
import dataclasses
import functools
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha1
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast, dataclass_transform

import redis
from redis import asyncio as redis_async
from redis.exceptions import NoScriptError

PREFIX = "headgraft:"
RETENTION_SECONDS = 7 * 86_400.0
GROUP = "workers"
# Of one API process. More are slower: when a hundred requests begin at once, each new connection's
# handshake takes longer than the wait for one that is open.
CONNECTIONS_MAX = 8
# Three tries of two seconds, and the pauses between them.
CALL_SECONDS_MAX = 6.5
FOLDER = Path(__file__).with_name("lua")
SHARED = (FOLDER / "_shared.lua").read_text()
# Replies that pass: out of memory, a replica, a disk that cannot be written, files being loaded,
# too few replicas, a script or a transaction in the way, a failover. Where a script or a pipeline
# got the reply, it stands behind their own words.
REFUSAL = re.compile(
    r"(?:^|: -?)(BUSY|CLUSTERDOWN|EXECABORT|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY"
    r"|TRYAGAIN|UNBLOCKED|UNKILLABLE)\b"
)
# A server that is a replica now: a new connection may lead to the master.
DEMOTED = ("READONLY", "UNBLOCKED")
Command = tuple[Any, ...]
Answer = TypeVar("Answer")


class LedgerError(Exception):
    """Redis did not answer in time; nothing is known about the call's effect."""


class LedgerRefusedError(LedgerError):
    """Redis answers, but refuses the call for now; `code` is the first word of its reply."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"Redis refuses the call: {text}")
        self.code = code


class LedgerFullError(LedgerRefusedError):
    """Redis has reached its memory limit and takes nothing more."""


class UnknownCursorError(Exception):
    """A page was asked for behind an entry that is not in the list (any more)."""


class Key(str):
    """The full name of a Redis key, prefix included."""


KEY_TYPES = (Key, Key | None)


@dataclass_transform(frozen_default=True)
class Script(Generic[Answer]):
    """One call of `lua/NAME.lua`; a subclass is a frozen dataclass of what the script takes.

    In Lua each field is a local of the same name. Fields of type `Key` travel as KEYS, the others
    as ARGV; a field that is a dataclass stands for its fields. None is '' in Lua, a key that is
    None must be the last and is nil. A mapping must be the last: a list of its keys and values.
    """

    LUA: ClassVar[str]

    def __init_subclass__(cls, name: str) -> None:
        cls.LUA = (FOLDER / f"{name}.lua").read_text()
        dataclasses.dataclass(frozen=True)(cls)

    @classmethod
    @functools.cache
    def source(cls) -> tuple[str, str]:
        """Return the script's whole Lua text and its SHA-1."""
        keys, arguments, rest = list[str](), list[str](), ""
        for name, kind, _ in _leaves(cast(Any, cls)):
            if kind == Mapping[str, str]:
                rest = f"local {name} = {{unpack(ARGV, {len(arguments) + 1})}}\n"
            else:
                (keys if kind in KEY_TYPES else arguments).append(name)
        locals_ = [
            f"local {', '.join(names)} = unpack({array})\n"
            for names, array in ((keys, "KEYS"), (arguments, "ARGV"))
            if names
        ]
        text = "".join([SHARED, *locals_, rest, cls.LUA])
        return text, sha1(text.encode(), usedforsecurity=False).hexdigest()

    def packed(self) -> tuple[list[Key], list[str | int | float]]:
        """Return KEYS and ARGV."""
        keys, arguments = list[Key](), list[str | int | float]()
        for _, kind, value_of in _leaves(cast(Any, type(self))):
            value = value_of(self)
            if kind in KEY_TYPES:
                keys += [] if value is None else [value]
            elif kind == Mapping[str, str]:
                arguments += (part for pair in value.items() for part in pair)
            else:
                arguments.append("" if value is None else value)
        return keys, arguments


@functools.cache
def _leaves(kind: type[Any], path: str = "") -> list[tuple[str, Any, Callable[[Any], Any]]]:
    """Return name, type and getter of each field; of a field that is a dataclass, of its fields."""
    leaves = []
    for field in dataclasses.fields(kind):
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            leaves += _leaves(field.type, f"{path}{field.name}.")
        else:
            leaves.append((field.name, field.type, attrgetter(path + field.name)))
    return leaves


@dataclasses.dataclass(frozen=True)
class JobKeys:
    """What every script about one job takes."""

    job: Key
    queue: Key
    events: Key
    group: str
    channel: str
    retention_ms: int


class Keyspace:
    """Names the keys of one ledger."""

    def __init__(
        self, *, retention_seconds: float = RETENTION_SECONDS, prefix: str = PREFIX
    ) -> None:
        self.prefix = prefix
        self.retention_ms = int(retention_seconds * 1000)

    def key(self, *parts: str) -> Key:
        """Return the full name of a key: prefix, then the parts joined by colons."""
        return Key(self.prefix + ":".join(parts))

    def of_job(self, job: str) -> JobKeys:
        """Return what every script about this job takes."""
        keys = (self.key("job", job), self.key("queue"), self.key("events", job))
        return JobKeys(*keys, GROUP, self.key("wake"), self.retention_ms)


class RedisScripts(Keyspace):
    """Scripts and commands over a blocking client, each safe to repeat."""

    def __init__(self, client: "redis.Redis", **options: Any) -> None:
        super().__init__(**options)
        self.client = client

    def run(self, script: Script[Answer]) -> Answer:
        """Run a script; LedgerError where the server does not answer."""
        (text, sha), (keys, arguments) = script.source(), script.packed()
        with self.errors():
            try:
                answer: Any = self.client.evalsha(sha, len(keys), *keys, *arguments)
            except NoScriptError:
                answer = self.client.eval(text, len(keys), *keys, *arguments)
        return cast(Answer, answer)

    def command(self, name: str, *arguments: object) -> Any:
        """Call a command of the server; LedgerError where it does not answer."""
        with self.errors():
            return getattr(self.client, name)(*arguments)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise LedgerError where Redis does not answer, or refuses for now."""
        try:
            with ledger_errors():
                yield
        except LedgerRefusedError as error:
            if error.code in DEMOTED:
                self.client.connection_pool.disconnect(inuse_connections=False)
            raise


class AsyncRedisScripts(Keyspace):
    """Scripts and commands over an asyncio client, each safe to repeat."""

    def __init__(self, client: "redis_async.Redis", **options: Any) -> None:
        super().__init__(**options)
        self.client = client
        # redis-py's own blocking pool hands one lock from waiter to waiter, which takes a second
        # when a hundred streams begin at once.
        self._free = asyncio.Semaphore(CONNECTIONS_MAX)

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """Bound a call as a whole: the wait for a connection, the tries, a new connection's."""
        try:
            with ledger_errors():
                async with asyncio.timeout(CALL_SECONDS_MAX), self._free:
                    yield
        except LedgerRefusedError as error:
            if error.code in DEMOTED:
                await self.client.connection_pool.disconnect(inuse_connections=False)
            raise

    async def run(self, script: Script[Answer]) -> Answer:
        """Run a script; LedgerError where the server does not answer."""
        (text, sha), (keys, arguments) = script.source(), script.packed()
        async with self._bounded():
            try:
                answer: Any = await self.client.evalsha(sha, len(keys), *keys, *arguments)
            except NoScriptError:
                answer = await self.client.eval(text, len(keys), *keys, *arguments)
        return cast(Answer, answer)

    async def command(self, name: str, *arguments: object) -> Any:
        """Call a command of the server; LedgerError where it does not answer."""
        async with self._bounded():
            return await getattr(self.client, name)(*arguments)

    async def pipeline(self, commands: Iterable[Command]) -> list[Any]:
        """Call commands in one round trip; LedgerError where the server does not answer."""
        async with self._bounded(), self.client.pipeline(transaction=False) as pipe:
            for name, *arguments in commands:
                getattr(pipe, name)(*arguments)
            return await pipe.execute()

    async def hashes(self, kind: str, names: Iterable[str]) -> list[dict[str, str]]:
        """Return the hashes KIND:NAME that exist, in order, in one round trip."""
        found = await self.pipeline(("hgetall", self.key(kind, name)) for name in names)
        return [fields for fields in found if fields]

    async def page(
        self, kind: str, index: Key, after: str | None, limit: int
    ) -> list[dict[str, str]]:
        """Return up to `limit` hashes of a sorted set's names, newest first, behind `after`."""
        start = await self.rank_after(index, after)
        return await self.hashes(
            kind, await self.command("zrevrange", index, start, start + limit - 1)
        )

    async def rank_after(self, index: Key, after: str | None) -> int:
        """Return the rank behind an entry, from the newest on; UnknownCursorError without it."""
        if after is None:
            return 0
        rank = await self.command("zrevrank", index, after)
        if rank is None:
            raise UnknownCursorError(f"there is no {after!r:.80} to go on behind")
        return int(rank) + 1


@contextmanager
def ledger_errors() -> Iterator[None]:
    """Raise LedgerError where Redis does not answer, LedgerRefusedError where it refuses."""
    try:
        yield
    except redis.BusyLoadingError as error:
        raise LedgerRefusedError("LOADING", f"LOADING {error}") from error
    except (redis.ConnectionError, redis.TimeoutError, TimeoutError) as error:
        raise LedgerError(f"Redis does not answer: {error}") from error
    except redis.ResponseError as error:
        # Of the codes that redis-py has classes for, it takes the code out of the text.
        text = f"{error.status_code} {error}" if error.status_code else str(error)
        refusal = REFUSAL.search(text)
        if refusal is None:
            raise
        kind = LedgerFullError if refusal[1] == "OOM" else LedgerRefusedError
        raise kind(refusal[1], text) from error

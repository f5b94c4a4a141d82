"""`headgraft doctor`: checks every part of an installation, and says how to repair what is missing.

The only thing it writes is a file in the store, which it deletes again.
"""

import importlib.metadata
import platform
import re
import statistics
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from headgraft.service.local import redis_server
from headgraft.service.local.state import StateFolder
from headgraft.workers.ledger.connections import connect
from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.ledger.scripts import LedgerError
from headgraft.workers.store import Store
from headgraft.workers.urls import hide_passwords, without_password

PRODUCT = "headgraft"
GIB = 1024**3
PINGS = 5
# The extras that the API does without, and who needs them.
NEEDED_BY = {
    "pictures": "only workers and `headgraft features` need it",
    "worker": "only workers need it",
}


@dataclass(frozen=True)
class Finding:
    """One part: what was found out, and whether it is as it must be."""

    part: str
    text: str
    is_ok: bool = True


def examine(state: StateFolder, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Examine Redis, the store, the workers and the installed packages, one finding each."""
    named = environment.get("HEADGRAFT_REDIS_URL")
    redis_url = named or state.running("redis-url")
    if redis_url:
        yield from examine_redis(redis_url)
    else:
        yield Finding("Redis", _how_to_start(), is_ok=False)
    store_url = environment.get("HEADGRAFT_STORE_URL") or state.running("store-url")
    yield examine_store(store_url or state.store_url)
    yield from examine_packages()


def examine_redis(url: str) -> Iterator[Finding]:
    """Examine a Redis server and the workers that announced themselves in it."""
    shown = without_password(url)
    try:
        with connect(url, retries=0) as client:
            yield _server(client, shown)
            yield from _workers(Ledger(client))
    except (redis.RedisError, LedgerError, ValueError) as error:
        advice = "check HEADGRAFT_REDIS_URL and the server"
        yield Finding("Redis", f"{shown}: {error}; {advice}", is_ok=False)


def _server(client: "redis.Redis", shown: str) -> Finding:
    info: Any = client.info()
    name = info.get("server_name", "redis")
    version = info.get("valkey_version") or info["redis_version"]
    text = f"{shown}, {name} {version}, ping {_ping_ms(client):.2f} ms"
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        advice = f"maxmemory-policy is {policy}, which loses jobs: set it to noeviction"
        return Finding("Redis", f"{text}; {advice}", is_ok=False)
    return Finding("Redis", text)


def _ping_ms(client: "redis.Redis") -> float:
    times = []
    for _ in range(PINGS):
        start = time.perf_counter()
        client.ping()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def _workers(ledger: Ledger) -> Iterator[Finding]:
    online = ledger.workers()
    if not online:
        advice = "none online: start one with `headgraft worker`"
        yield Finding("workers", advice, is_ok=False)
    for worker in online:
        encoders = ", ".join(sorted(worker.encoders)) or "none"
        yield Finding("worker", f"{worker.name} on {worker.device}, encoders: {encoders}")


def _how_to_start() -> str:
    try:
        _, version = redis_server.find_binary()
    except redis_server.ServerError as error:
        return str(error)
    return f"none runs: start `headgraft up` (it brings {version}), or set HEADGRAFT_REDIS_URL"


def examine_store(url: str) -> Finding:
    """Examine whether the store takes a file, and how much more it can take."""
    path = f"doctor/{uuid.uuid4().hex}"
    try:
        store = Store(url)
        store.write(path, b"written and deleted by headgraft doctor")
        store.delete(path)
        free = store.free_bytes()
    except Exception as error:  # the store's library raises errors of many kinds
        advice = "check HEADGRAFT_STORE_URL and who may write there"
        text = f"{without_password(url)}: {hide_passwords(str(error))}; {advice}"
        return Finding("store", text, is_ok=False)
    space = "" if free is None else f", {free / GIB:.1f} GiB free"
    return Finding("store", f"{without_password(url)}, writable{space}")


def examine_packages() -> Iterator[Finding]:
    """Examine whether the packages are installed that this one asks for."""
    about = f"{PRODUCT} {_version(PRODUCT)}, Python {platform.python_version()}"
    yield Finding("this", about)
    for name, extra in _asked_for(importlib.metadata.requires(PRODUCT) or []):
        if version := _version(name):
            yield Finding("package", f"{name} {version}")
            continue
        command = f"pip install '{PRODUCT}[{extra}]'" if extra else f"pip install {PRODUCT}"
        if extra in NEEDED_BY:
            text = f"{name} is not installed; {NEEDED_BY[extra]}: {command}"
            yield Finding("package", text)
        else:
            yield Finding("package", f"{name} is missing: {command}", is_ok=False)


def _asked_for(requirements: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Return each package once, with the first of the extras that brings it; "": the client.

    Left out is what only the demo and the tests use, and what some systems do without.
    """
    order = ["", "service", *NEEDED_BY]
    found: dict[str, str] = {}
    for requirement in requirements:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        match = re.search(r"extra == ['\"](\w+)", requirement)
        extra = match[1] if match else ""
        is_optional = "sys_platform" in requirement and _version(name) is None
        if extra in order and not is_optional:
            found[name] = min(extra, found.get(name, extra), key=order.index)
    return iter(sorted(found.items(), key=lambda item: order.index(item[1])))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

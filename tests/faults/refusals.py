"""Brings a real Redis to refuse calls, in each way that passes; each returns how it ends."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

from tests.processes import eventually

# Returns a new client each time, which repeats nothing.
Connect = Callable[[], Any]
Refusal = Callable[[Connect], Callable[[], object]]


def full(connect: Connect) -> Callable[[], object]:
    """OOM: the memory limit is reached, and nothing may be evicted."""
    _call(connect, "config_set", "maxmemory", "1mb")
    return lambda: _call(connect, "config_set", "maxmemory", "0")


def demoted(connect: Connect) -> Callable[[], object]:
    """READONLY: it became a replica of a server that is not there."""
    _call(connect, "execute_command", "REPLICAOF", "127.0.0.1", "1")
    return lambda: _call(connect, "execute_command", "REPLICAOF", "NO", "ONE")


def disk_error(connect: Connect) -> Callable[[], object]:
    """MISCONF: it cannot write its snapshot, since a folder is in the way."""
    way = Path(_call(connect, "config_get", "dir")["dir"]) / "dump.rdb"
    way.unlink(missing_ok=True)
    way.mkdir()
    _call(connect, "config_set", "save", "3600 1")
    _call(connect, "bgsave")
    eventually(
        lambda: _call(connect, "info", "persistence")["rdb_last_bgsave_status"] == "err",
        60,
        "the save fails",
    )
    way.rmdir()
    return lambda: _call(connect, "config_set", "save", "")


def lonely(connect: Connect) -> Callable[[], object]:
    """NOREPLICAS: it wants more replicas than there are."""
    _call(connect, "config_set", "min-replicas-to-write", "9")
    return lambda: _call(connect, "config_set", "min-replicas-to-write", "0")


def busy(connect: Connect) -> Callable[[], object]:
    """BUSY: a script does not end."""
    _call(connect, "config_set", "busy-reply-threshold", "50")

    def loop() -> None:
        with suppress(redis.RedisError):
            _call(connect, "eval", "while true do end", 0)

    threading.Thread(target=loop, daemon=True).start()
    eventually(lambda: refusal_of(connect) == "BUSY", 60, "the script runs")
    return lambda: _call(connect, "script_kill")


def refusal_of(connect: Connect) -> str | None:
    """Return the first word of the reply to a read, where it is refused."""
    try:
        _call(connect, "get", "x")
    except redis.BusyLoadingError:
        return "LOADING"
    except redis.ResponseError as error:
        return str(error).partition(" ")[0]
    except redis.ConnectionError:
        pass
    return None


def _call(connect: Connect, name: str, *arguments: object) -> Any:
    with connect() as client:
        return getattr(client, name)(*arguments)


REFUSALS: dict[str, Refusal] = {
    "OOM": full,
    "READONLY": demoted,
    "MISCONF": disk_error,
    "NOREPLICAS": lonely,
    "BUSY": busy,
}

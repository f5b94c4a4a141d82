"""Scripts: what a class declares is what its Lua text gets, by the same names."""

from collections.abc import Mapping

import pytest
import redis

from headgraft.workers.ledger.quota import Reservation
from headgraft.workers.ledger.scripts import (
    FOLDER,
    Key,
    LedgerError,
    LedgerFullError,
    LedgerRefusedError,
    Script,
    ledger_errors,
)
from tests.ledger import Ledger


class Example(Script[str], name="reserve"):
    """Every kind of field."""

    index: Key
    id: str
    limit: int | None
    reservation: Reservation
    fields: Mapping[str, str]


def test_the_locals_of_a_script_should_be_its_fields() -> None:
    text, _ = Example.source()
    assert "local index, entry = unpack(KEYS)\n" in text
    assert "local id, limit, nonce, fingerprint = unpack(ARGV)\n" in text
    assert "local fields = {unpack(ARGV, 5)}\n" in text
    assert text.endswith((FOLDER / "reserve.lua").read_text())


@pytest.mark.parametrize(("entry", "keys"), [(None, ["i"]), (Key("e"), ["i", "e"])])
def test_keys_and_arguments_should_come_in_the_same_order(
    entry: Key | None, keys: list[str]
) -> None:
    script = Example(Key("i"), "a", None, Reservation("n", "f", entry), {"x": "1", "y": "2"})
    assert script.packed() == (keys, ["a", "", "n", "f", "x", "1", "y", "2"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"), "MISCONF"),
        (redis.ResponseError("NOREPLICAS Not enough good replicas to write."), "NOREPLICAS"),
        (redis.ResponseError("UNBLOCKED force unblock from blocking operation"), "UNBLOCKED"),
        # From within a script of Redis 6, and from a pipeline.
        (
            redis.ResponseError("Error running script (call to f_1): @user_script:9: -OOM command"),
            "OOM",
        ),
        (redis.ResponseError("Command # 1 (TIME) of pipeline caused error: BUSY Redis"), "BUSY"),
        (redis.OutOfMemoryError("command not allowed", status_code="OOM"), "OOM"),
        (redis.ReadOnlyError("You can't write", status_code="READONLY"), "READONLY"),
        (redis.BusyLoadingError("is loading the dataset", status_code="LOADING"), "LOADING"),
    ],
)
def test_a_refusal_that_passes_should_be_told_by_its_code(error: Exception, code: str) -> None:
    with pytest.raises(LedgerRefusedError) as caught, ledger_errors():
        raise error
    assert caught.value.code == code
    assert isinstance(caught.value, LedgerFullError) == (code == "OOM")


@pytest.mark.parametrize("text", ["BUSYGROUP Consumer Group name already exists", "WRONGTYPE x"])
def test_what_does_not_pass_should_stay_what_it_is(text: str) -> None:
    with pytest.raises(redis.ResponseError), ledger_errors():
        raise redis.ResponseError(text)


def test_a_server_that_became_a_replica_should_be_looked_for_anew(ledger: Ledger) -> None:
    """Behind an address that follows the master, a new connection leads to the new one."""
    before = ledger.client.client_id()
    assert ledger.client.client_id() == before
    ledger.command("execute_command", "REPLICAOF", "127.0.0.1", "1")
    try:
        with pytest.raises(LedgerError, match="READONLY"):
            ledger.command("set", ledger.key("janitor"), "1")
    finally:
        ledger.command("execute_command", "REPLICAOF", "NO", "ONE")
    assert ledger.client.client_id() != before

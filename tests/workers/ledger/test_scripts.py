"""Scripts: what a class declares is what its Lua text gets, by the same names."""

from collections.abc import Mapping

import pytest

from headgraft.workers.ledger.quota import Reservation
from headgraft.workers.ledger.scripts import FOLDER, Key, Script


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

"""Created keys: what Redis holds of one, and what opens."""

import pytest

from headgraft.service.web import created_keys as keyring
from headgraft.service.web.key_limits import KeyLimits
from tests import keyspace
from tests.ledger import Ledger
from tests.service.web.created_keys import key, key_id


def test_a_key_should_be_found_by_its_whole_text_alone(ledger: Ledger) -> None:
    ada, bob = key(ledger), key(ledger, "bob", jobs=3)
    found = ledger.serve(keyring.find, bob)
    assert found is not None
    assert (found.owner, found.limits) == ("bob", KeyLimits(jobs=3))
    mixed = f"hg_{key_id(ada)}_{bob.split('_', 2)[2]}"
    others = [mixed, bob[:-1], bob + "A", bob.upper(), "", "hg_", f"hg_{'0' * 12}_{'A' * 43}"]
    assert [ledger.serve(keyring.find, text) for text in others] == [None] * len(others)


def test_redis_should_hold_no_key(ledger: Ledger) -> None:
    text = key(ledger)
    secret = text.split("_", 2)[2]
    for name in ledger.client.scan_iter("*"):
        is_string = ledger.client.type(name) == "string"
        held = ledger.client.get(name) if is_string else ledger.client.zrange(name, 0, -1)
        assert secret not in f"{name!r} {held!r}"
    assert keyspace.leaks(ledger) == []


def test_a_revoked_key_should_open_nothing_and_stay_listed(ledger: Ledger) -> None:
    text = key(ledger)
    assert not ledger.serve(keyring.is_empty)
    first = keyring.revoke(ledger, key_id(text))
    assert ledger.serve(keyring.find, text) is None
    assert keyring.revoke(ledger, key_id(text)) == first
    assert [one.revoked_at for one in keyring.listed(ledger)] == [first.revoked_at]
    assert not ledger.serve(keyring.is_empty)


def test_an_unknown_key_should_not_be_revoked(ledger: Ledger) -> None:
    with pytest.raises(keyring.KeyringError, match="keys list"):
        keyring.revoke(ledger, "0123456789ab")


@pytest.mark.parametrize("owner", ["", "Ada", "a/b", "a" * 64, "a:b"])
def test_an_owner_that_is_no_folders_name_should_be_refused(ledger: Ledger, owner: str) -> None:
    with pytest.raises(keyring.KeyringError, match="a-z"):
        key(ledger, owner)
    assert ledger.serve(keyring.is_empty)

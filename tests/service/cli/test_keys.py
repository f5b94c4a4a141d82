"""`headgraft keys` as an operator meets it: straight to Redis, or to the one of `up`."""

import re
import subprocess
from pathlib import Path

import pytest

from headgraft.service.local.redis_server import start
from headgraft.service.local.state import StateFolder
from headgraft.service.web import created_keys
from headgraft.service.web.key_limits import KeyLimits
from tests import command
from tests.ledger import Ledger

TEXT = re.compile(r"hg_([0-9a-f]{12})_[A-Za-z0-9_-]{43}\n")


def keys(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return command.headgraft(Path.cwd(), "keys", *arguments, **variables)


def test_a_key_should_be_created_listed_and_revoked(redis_url: str, ledger: Ledger) -> None:
    limits = KeyLimits(requests_per_minute=60, jobs=4, upload_bytes=1000, stored_bytes=5000)
    said = [f"--{name.replace('_', '-')}={value}" for name, value in limits]

    created = keys("create", "ada", "--label=ci", *said, HEADGRAFT_REDIS_URL=redis_url)
    assert created.returncode == 0, created.stderr
    text = TEXT.fullmatch(created.stdout)
    assert text, created.stdout
    found = ledger.serve(created_keys.find, created.stdout.strip())
    assert found is not None
    assert (found.owner, found.label) == ("ada", "ci")
    assert found.limits == limits

    table = keys("list", HEADGRAFT_REDIS_URL=redis_url).stdout
    assert text[1] in table
    assert "ada" in table
    assert "requests_per_minute=60 jobs=4" in table
    assert text[0].strip().rpartition("_")[2] not in table

    revoked = keys("revoke", text[1], HEADGRAFT_REDIS_URL=redis_url)
    assert revoked.returncode == 0, revoked.stderr
    assert ledger.serve(created_keys.find, created.stdout.strip()) is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("create", "Ada"), "'Ada'"),
        (("revoke", "0123456789ab"), "no key '0123456789ab'"),
        (("create", "ada", "--jobs", "0"), "--jobs"),
    ],
)
def test_what_is_wrong_should_be_one_line(
    redis_url: str, ledger: Ledger, arguments: tuple[str, ...], told: str
) -> None:
    done = keys(*arguments, HEADGRAFT_REDIS_URL=redis_url)
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert ledger.serve(created_keys.is_empty)


def test_without_a_redis_it_should_be_said_where_one_is_looked_for(tmp_path: Path) -> None:
    done = keys("list", HEADGRAFT_STATE=str(tmp_path))
    assert done.returncode == 1
    assert "HEADGRAFT_REDIS_URL" in done.stderr
    away = keys("list", HEADGRAFT_REDIS_URL="redis://127.0.0.1:1")
    assert away.returncode == 1
    assert "Redis does not answer" in away.stderr


def test_the_redis_of_up_should_be_found(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    lock = state.lock()
    server = start(state.redis)
    try:
        lock.publish("redis-url", server.url)
        assert TEXT.fullmatch(keys("create", "ada", HEADGRAFT_STATE=str(tmp_path)).stdout)
    finally:
        server.stop()
        lock.release()

"""`headgraft gc`: what would go is listed, and goes only from a store that is this Redis's."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headgraft.workers.process import janitor
from headgraft.workers.store import Store
from tests import command
from tests.ledger import Ledger
from tests.workers.ledger.test_ledger import create

DAY_SECONDS = 86_400


@pytest.fixture
def waste(ledger: Ledger, store: Store, tmp_path: Path) -> Path:
    """Return a file of two days ago that no record names, beside one that a record names."""
    create(ledger)
    for job in ("inj_1", "inj_gone"):
        store.write(f"ada/{job}/request.json", b"1")
    file = tmp_path / "store/ada/inj_gone/request.json"
    os.utime(file, (time.time() - 2 * DAY_SECONDS,) * 2)
    return file


def gc(redis_url: str, tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "HEADGRAFT_REDIS_URL": redis_url,
        "HEADGRAFT_STORE_URL": f"file://{tmp_path}/store",
    }
    return command.run(janitor.main, ["janitor", *options], environment)


def test_a_dry_run_should_list_and_delete_nothing(
    redis_url: str, tmp_path: Path, waste: Path
) -> None:
    listed = gc(redis_url, tmp_path, "--dry-run")
    assert listed.stdout.splitlines() == ["ada/inj_gone/request.json: no record names it"]
    assert waste.exists()
    assert gc(redis_url, tmp_path, "--now").stdout == listed.stdout
    assert not waste.exists()
    assert (tmp_path / "store/ada/inj_1/request.json").exists()


def test_another_redis_should_be_told_and_adopted_on_demand_alone(
    redis_url: str, ledger: Ledger, tmp_path: Path, waste: Path
) -> None:
    ledger.client.flushdb()
    for option in ("--dry-run", "--now"):
        refused = gc(redis_url, tmp_path, option)
        assert refused.returncode == 1
        assert "names none of them" in refused.stderr
        assert "--adopt" in refused.stderr
        assert refused.stdout == ""
    assert waste.exists()
    adopted = gc(redis_url, tmp_path, "--adopt", "--now")
    assert (adopted.returncode, waste.exists()) == (0, False)


def test_the_command_should_become_the_janitor(redis_url: str, tmp_path: Path, waste: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headgraft", "gc", "--dry-run"],
        env={
            **os.environ,
            "HEADGRAFT_REDIS_URL": redis_url,
            "HEADGRAFT_STORE_URL": f"file://{tmp_path}/store",
        },
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["ada/inj_gone/request.json: no record names it"]
    assert waste.exists()

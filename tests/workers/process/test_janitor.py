"""The janitor on a real store and ledger: it removes what no record names, and nothing else."""

import os
import time
from pathlib import Path

import pytest

from headgraft.service.uploads import repository
from headgraft.workers.ledger.scripts import GROUP
from headgraft.workers.process.janitor import Janitor
from headgraft.workers.store import Store
from tests.documents import features_record, head_record, manifest
from tests.ledger import Ledger
from tests.workers.ledger.test_ledger import begin, create

DAY_SECONDS = 86_400


@pytest.fixture
def aged(tmp_path: Path) -> Store:
    """Return a store whose files, named and unnamed, all look two days old."""
    store = Store(f"file://{tmp_path}/aged")
    for path in (
        "ada/inj_1/request.json",
        "ada/inj_1/t0/head.safetensors",
        "ada/inj_1/t1/head.safetensors",
        "ada/uploads/inj_1/checkpoint.safetensors",
        "ada/inj_gone/request.json",
        "ada/inj_gone/t5/manifest.json",
        "ada/uploads/inj_gone/checkpoint.safetensors",
        "ada/uploads/head_1/checkpoint.safetensors",
        "ada/uploads/head_gone/checkpoint.safetensors",
        "ada/uploads/feat_1/features.safetensors",
        "ada/uploads/feat_gone/features.safetensors",
        "somebody/elses/file",
    ):
        store.write(path, b"1")
    (tmp_path / "aged/ada/half#1").write_bytes(b"1")
    for file in (tmp_path / "aged").rglob("*"):
        os.utime(file, (time.time() - 2 * DAY_SECONDS,) * 2)
    return store


def finished(ledger: Ledger) -> None:
    """Leave the records of a job that ended under token t1, of a head, and of features."""
    create(ledger)
    begin(ledger, "w1", "t1")
    ledger.succeed("inj_1", "t1", manifest("ada/inj_1/t1/"))
    ledger.serve(repository.create, head_record())
    ledger.serve(repository.create, features_record())


def test_only_what_no_record_names_should_go(ledger: Ledger, aged: Store, tmp_path: Path) -> None:
    finished(ledger)
    Janitor(ledger, aged).clean()
    assert sorted(aged.paths("")) == [
        "ada/inj_1/request.json",
        "ada/inj_1/t1/head.safetensors",
        "ada/uploads/feat_1/features.safetensors",
        "ada/uploads/head_1/checkpoint.safetensors",
        "ada/uploads/inj_1/checkpoint.safetensors",
        "somebody/elses/file",
    ]
    assert not (tmp_path / "aged/ada/half#1").exists()


def test_a_running_jobs_files_should_stay(ledger: Ledger, aged: Store) -> None:
    create(ledger)
    begin(ledger, "w1", "t0")
    Janitor(ledger, aged).clean()
    assert "ada/inj_1/t0/head.safetensors" in aged.paths("ada/inj_1")
    assert "ada/inj_1/t1/head.safetensors" not in aged.paths("ada/inj_1")


def test_nothing_younger_than_a_day_should_go(ledger: Ledger, store: Store) -> None:
    store.write("ada/inj_gone/request.json", b"1")
    Janitor(ledger, store).clean()
    assert list(store.paths("ada")) == ["ada/inj_gone/request.json"]


def test_expired_jobs_should_leave_their_owners_list(ledger: Ledger, store: Store) -> None:
    create(ledger)
    create(ledger, "inj_2")
    ledger.client.delete(ledger.key("job", "inj_1"))
    Janitor(ledger, store).clean()
    assert ledger.client.zrange(ledger.key("jobs", "ada"), 0, -1) == ["inj_2"]


def test_silent_consumers_with_nothing_pending_should_be_forgotten(
    ledger: Ledger, store: Store
) -> None:
    create(ledger)
    begin(ledger, "busy", "t1")
    ledger.claim("silent", lease_seconds=60, block_seconds=0.01)
    time.sleep(0.02)
    Janitor(ledger, store, age_seconds=0.01).clean()
    consumers = ledger.client.xinfo_consumers(ledger.key("queue"), GROUP)
    assert [consumer["name"] for consumer in consumers] == ["busy"]


def test_of_two_janitors_one_should_work_in_an_hour(ledger: Ledger, store: Store) -> None:
    assert Janitor(ledger, store).take_turn()
    assert not Janitor(ledger, store).take_turn()
    assert ledger.client.ttl(ledger.key("janitor")) > 0

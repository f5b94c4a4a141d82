"""The janitor on a real store and ledger: it removes what no record names, and nothing else."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from headgraft.service.uploads import repository
from headgraft.workers import ownership
from headgraft.workers.ledger.scripts import GROUP
from headgraft.workers.ownership import CLOCK_FILE, MARK_FILE, ForeignStoreError
from headgraft.workers.process.janitor import Janitor
from headgraft.workers.store import Store
from tests.documents import features_record, head_record, manifest
from tests.ledger import Ledger
from tests.workers.ledger.test_ledger import begin, create, read

DAY_SECONDS = 86_400
MINE = [CLOCK_FILE, MARK_FILE]


def files(store: Store, prefix: str = "") -> list[str]:
    """List a store's files, less those by which the janitor knows it."""
    return sorted(set(store.paths(prefix)) - set(MINE))


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
    assert files(aged) == [
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
    finished(ledger)
    store.write("ada/inj_1/request.json", b"1")
    Janitor(ledger, store).clean()
    assert files(store, "ada/inj_gone") == ["ada/inj_gone/request.json"]


def test_a_clock_that_is_ahead_should_not_make_files_old(
    ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The janitor's own clock counts for nothing; where the store's is another, nothing goes."""
    finished(ledger)
    for path in ("ada/inj_1/t1/head.safetensors", "ada/inj_gone/request.json"):
        store.write(path, b"1")
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: 2e9)
        Janitor(ledger, store).clean()
    ahead = time.time() + 10 * DAY_SECONDS
    monkeypatch.setattr(Store, "written_at", lambda *_: ahead)
    with pytest.raises(ForeignStoreError, match=r"86400\d s apart"):
        Janitor(ledger, store).clean()
    assert "ada/inj_gone/request.json" in files(store)


def test_an_empty_or_another_redis_should_cost_no_file(
    ledger: Ledger, aged: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    finished(ledger)
    Janitor(ledger, aged).clean()
    before = files(aged)
    ledger.client.flushdb()
    assert not Janitor(ledger, aged).take_turn()
    assert "belongs to another Redis" in capsys.readouterr().out
    ledger.client.hset(ledger.key("store"), mapping={"id": "another", "turn": 99})
    for call in (Janitor(ledger, aged).clean, Janitor(ledger, aged).show):
        with pytest.raises(ForeignStoreError, match="belongs to another Redis"):
            call()
    assert files(aged) == before
    assert len(before) == 6


def test_an_older_copy_of_redis_should_cost_no_file(ledger: Ledger, aged: Store) -> None:
    """A copy of three hours ago names nothing that was made since."""
    finished(ledger)
    Janitor(ledger, aged).clean()
    copy: Any = ledger.client.dump(ledger.key("store"))
    for _ in range(2):
        Janitor(ledger, aged).clean()
    ledger.client.restore(ledger.key("store"), 0, copy, replace=True)
    with pytest.raises(ForeignStoreError, match="counts 1 turns of the janitor, the store 3"):
        Janitor(ledger, aged).clean()
    ownership.adopt(ledger, aged)
    Janitor(ledger, aged).clean()


def test_a_store_with_files_that_redis_does_not_know_should_not_be_taken(
    ledger: Ledger, aged: Store
) -> None:
    before = files(aged)
    with pytest.raises(ForeignStoreError, match="names none of them"):
        Janitor(ledger, aged).clean()
    assert files(aged) == before
    ownership.adopt(ledger, aged)
    Janitor(ledger, aged).clean()
    assert files(aged) == ["somebody/elses/file"]


def test_what_would_go_should_be_listed_and_stay(ledger: Ledger, aged: Store) -> None:
    finished(ledger)
    create(ledger, "inj_2")
    ledger.client.delete(ledger.key("job", "inj_2"))
    aged.write("ada/inj_2/request.json", b"1")
    before = files(aged)
    lines = list(Janitor(ledger, aged).show())
    assert len(lines) == 8
    assert "ada/inj_gone/request.json: no record names it" in lines
    assert "ada/inj_2/request.json: its injection has expired" in lines
    assert [line for line in lines if line.endswith("half#1: half-written")]
    assert files(aged) == before
    assert sorted(Janitor(ledger, aged).clean()) == sorted(lines)


def test_the_check_of_stored_files_should_find_a_flipped_bit(
    ledger: Ledger, store: Store, tmp_path: Path
) -> None:
    content = b"a head"
    about = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    create(ledger)
    begin(ledger, "w1", "t1")
    whole = {"head.safetensors": about, "report.json": about}
    ledger.succeed("inj_1", "t1", manifest("ada/inj_1/t1/", files=whole))
    for name in whole:
        store.write(f"ada/inj_1/t1/{name}", content)
    janitor = Janitor(ledger, store)
    assert janitor.scrub() == 2
    assert not read(ledger).damaged
    (tmp_path / "store/ada/inj_1/t1/head.safetensors").write_bytes(b"a bead")
    assert janitor.scrub() == 2
    assert janitor.scrub() == 2
    assert read(ledger).damaged == "head.safetensors"
    assert [one.data.type for one in ledger.events("inj_1")].count("damage") == 1
    # Without time for all of them, each call goes on where the last one stopped.
    assert janitor.scrub(seconds=-1) == 0


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

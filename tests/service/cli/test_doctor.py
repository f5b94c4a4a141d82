"""The doctor before real parts: what it finds out, and what it advises."""

from pathlib import Path

import pytest

from headgraft.service.cli.doctor import Finding, examine, examine_redis, examine_store
from headgraft.service.local import redis_server
from headgraft.service.local.state import StateFolder
from headgraft.workers.jobs.presence import EncoderPresence, Presence
from headgraft.workers.ledger.connections import connect
from tests import command
from tests.ledger import Ledger
from tests.processes import free_port


def test_all_there_should_be_found_with_workers_and_encoders(
    ledger: Ledger, redis_url: str
) -> None:
    encoders = {"minilm": EncoderPresence(dimension=384, digest="0")}
    ledger.announce(Presence(name="w1", device="cuda:0", encoders=encoders))
    server, worker = examine_redis(redis_url)
    assert server.is_ok
    assert "valkey 9" in server.text
    assert " ms" in server.text
    assert worker == Finding("worker", "w1 on cuda:0, encoders: minilm")


def test_no_worker_should_be_missing(ledger: Ledger, redis_url: str) -> None:
    _, workers = examine_redis(redis_url)
    assert not workers.is_ok
    assert "headgraft worker" in workers.text


def test_a_redis_that_is_away_should_be_named_without_its_password() -> None:
    port = free_port()
    (finding,) = examine_redis(f"redis://ada:secret@127.0.0.1:{port}/0")
    assert not finding.is_ok
    assert f"redis://ada:***@127.0.0.1:{port}/0" in finding.text
    assert "secret" not in finding.text


def test_a_redis_that_may_evict_jobs_should_be_missing_something(tmp_path: Path) -> None:
    server = redis_server.start(tmp_path)
    with connect(server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    finding = next(iter(examine_redis(server.url)))
    server.stop()
    assert not finding.is_ok
    assert "set it to noeviction" in finding.text


def test_a_store_should_be_left_as_it_was(tmp_path: Path) -> None:
    finding = examine_store(f"file://{tmp_path}/store")
    assert finding.is_ok
    assert "writable" in finding.text
    assert "GiB free" in finding.text
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("url", ["file:///proc/headgraft", "gopher://x"])
def test_a_store_that_takes_nothing_should_be_missing(url: str) -> None:
    finding = examine_store(url)
    assert not finding.is_ok
    assert url in finding.text


def test_nothing_running_should_say_what_to_start(tmp_path: Path) -> None:
    findings = list(examine(StateFolder(tmp_path), {}))
    missing = [finding for finding in findings if not finding.is_ok]
    assert [finding.part for finding in missing] == ["Redis"]
    assert "`headgraft up` (it brings valkey 9" in missing[0].text


def test_a_missing_part_should_be_the_exit_code(tmp_path: Path) -> None:
    ran = command.headgraft(tmp_path, "doctor", "--state", str(tmp_path))
    assert ran.returncode == 1
    assert "MISSING  Redis" in ran.stdout
    assert "ok       package  fastapi" in ran.stdout

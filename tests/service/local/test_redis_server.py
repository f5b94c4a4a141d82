"""Our own Redis server: keeps what it is given, ends with its starter, says what is wrong."""

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from headgraft.service.local import redis_server
from headgraft.service.local.redis_server import ServerError
from headgraft.workers.ledger.connections import connect
from tests.processes import eventually


def test_what_is_written_should_survive_a_stop(tmp_path: Path) -> None:
    for expected in (None, "kept"):
        server = redis_server.start(tmp_path / "redis")
        with connect(server.url) as client:
            assert client.get("key") == expected
            client.set("key", "kept")
        server.stop()


def test_what_is_acknowledged_should_survive_a_restart_under_the_same_url(tmp_path: Path) -> None:
    server = redis_server.start(tmp_path / "redis")
    with connect(server.url) as client:
        client.set("key", "kept")
        os.kill(server.pid, signal.SIGTERM)
        eventually(lambda: server.poll() is not None, 60, "the server ended")
        server.restart()
        assert client.get("key") == "kept"
    server.stop()


def test_only_this_user_should_reach_it_and_nobody_over_the_network(tmp_path: Path) -> None:
    server = redis_server.start(tmp_path / "redis")
    assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
    assert psutil.Process(server.pid).net_connections("inet") == []
    with connect(server.url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    server.stop()


def test_a_long_folder_should_get_a_short_socket_that_is_gone_afterwards(tmp_path: Path) -> None:
    server = redis_server.start(tmp_path / ("long" * 30) / "redis")
    assert len(os.fsencode(server.socket)) <= redis_server.SOCKET_PATH_BYTES_MAX
    assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
    with connect(server.url) as client:
        assert client.ping()
    server.stop()
    assert not server.socket.parent.exists()


def test_a_folder_with_odd_characters_should_do(tmp_path: Path) -> None:
    server = redis_server.start(tmp_path / "50% #1?")
    with connect(server.url) as client:
        assert client.ping()
    server.stop()


@pytest.mark.parametrize("writer", ["redis 7.4.1", "valkey 7.2.0"])
def test_files_of_another_server_should_be_refused(tmp_path: Path, writer: str) -> None:
    (tmp_path / "server-version").write_text(writer)
    with pytest.raises(ServerError, match=rf"were written by {re.escape(writer)}, and this is"):
        redis_server.start(tmp_path)


def test_files_of_unknown_origin_should_be_refused(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").mkdir()
    with pytest.raises(ServerError, match="written by an unknown server"):
        redis_server.start(tmp_path)


def test_files_of_an_older_minor_version_should_be_read_and_noted(tmp_path: Path) -> None:
    _, version = redis_server.find_binary()
    (tmp_path / "server-version").write_text(version.partition(".")[0] + ".0.0")
    redis_server.start(tmp_path).stop()
    assert (tmp_path / "server-version").read_text() == f"{version}\n"


def test_a_server_that_cannot_start_should_say_its_last_words(tmp_path: Path) -> None:
    redis_server.start(tmp_path).stop()
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(ServerError, match=r"(?s)ended with code 1 .*server.log:\n.*manifest"):
        redis_server.start(tmp_path)


def test_it_should_end_when_its_starter_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from headgraft.service.local import redis_server\n"
        "print(redis_server.start(Path(sys.argv[1])).pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout
        pid = int(starter.stdout.readline())
        assert psutil.pid_exists(pid)
        starter.kill()
        eventually(lambda: not psutil.pid_exists(pid), 60, "the server ended")

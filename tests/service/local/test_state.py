"""The state folder: where it is, and that one holder at a time has it."""

import os
import subprocess
from pathlib import Path

import pytest

from headgraft.service.local.state import StateError, StateFolder, locate, read_holders


def test_the_folder_should_be_the_one_named_first() -> None:
    named = {"HEADGRAFT_STATE": "/a/b", "XDG_STATE_HOME": "/c"}
    assert locate(named).path == Path("/a/b")
    assert locate({"XDG_STATE_HOME": "/c"}).path == Path("/c/headgraft")
    assert locate({}).path == Path.home() / ".local/state/headgraft"


def test_the_store_url_should_survive_odd_folder_names(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "50% off #1")
    assert folder.store_url == f"file://{tmp_path}/50%25%20off%20%231/artifacts"


def test_a_second_holder_should_be_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    lock = folder.lock()
    with pytest.raises(StateError, match=rf"in use by process {os.getpid()} \(headgraft up\)"):
        folder.lock()
    lock.release()
    folder.lock().release()


def test_who_inherits_the_lock_should_keep_the_folder_locked(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    lock = folder.lock()
    heir = subprocess.Popen(["sleep", "60"], pass_fds=(lock.fd,))
    try:
        os.truncate(folder.lock_file, 0)
        lock.note_holder("headgraft up", 2**22 + 1)  # a pid that no process can have
        lock.note_holder("Redis server", heir.pid)
        lock.release()
        with pytest.raises(StateError, match=rf"in use by process {heir.pid} \(Redis server\)"):
            folder.lock()
    finally:
        heir.kill()
        heir.wait()
    folder.lock().release()


def test_the_newest_pid_of_a_role_should_count(tmp_path: Path) -> None:
    lock = StateFolder(tmp_path).lock()
    lock.note_holder("Redis server", 11)
    lock.note_holder("Redis server", 12)
    assert read_holders(tmp_path / "lock") == {"headgraft up": os.getpid(), "Redis server": 12}
    lock.release()


def test_a_published_url_should_be_known_only_while_the_folder_is_held(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    assert folder.running() is None
    lock = folder.lock()
    assert folder.running() is None
    lock.publish("url", "http://127.0.0.1:1")
    assert folder.running() == "http://127.0.0.1:1"
    lock.release()
    assert folder.running() is None


def test_a_url_left_by_a_killed_holder_should_not_be_believed(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    folder.lock().release()
    (tmp_path / "url").write_text("http://127.0.0.1:1\n")
    assert folder.running() is None
    lock = folder.lock()
    assert folder.running() is None
    lock.release()


def test_a_folder_that_cannot_be_made_should_be_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="file/state: Not a directory; choose another"):
        StateFolder(tmp_path / "file" / "state").lock()

"""Large uploads: what they cost, what a vanished client leaves, and a full disk."""

import contextlib
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.faults.disks import Disk, SmallFiles, family, small_disk
from tests.ledger import Ledger
from tests.processes import Processes, eventually
from tests.sending import MIB, Giant, answer, connected, giant, push
from tests.service.files import (
    checkpoint,
    head_tensors,
    injection,
    problem,
    stored,
    submit,
    vectors,
)

KEY = "a-key-of-at-least-16"
AUTHORIZED = f"Authorization: Bearer {KEY}"
RSS_MAX = 300 * MIB
# The smaller one, too, would not fit into the memory allowed.
SIZES = pytest.mark.parametrize(
    "size",
    [
        pytest.param(512 * MIB, id="512 MiB"),
        pytest.param(2048 * MIB, id="2 GiB", marks=pytest.mark.soak),
    ],
)
DISKS = pytest.mark.parametrize("kind", ["a small disk", "a limit on files"])


def large(size: int) -> Giant:
    """Return a checkpoint of so many zeros and a small head behind them."""
    header = {
        "filler": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]},
        "fc.weight": {"dtype": "F32", "shape": [2, 1], "data_offsets": [size, size + 8]},
    }
    return giant(injection(class_names=["a", "b"]), header, size, struct.pack("<2f", 1, 2))


@pytest.fixture
def api(redis_url: str, ledger: Ledger, tmp_path: Path) -> Iterator[Processes]:
    """Return a server with a key; what was stored goes with the test, not with the run."""
    processes = Processes(tmp_path, redis_url, {"HEADGRAFT_API_KEYS": f"ada:{KEY}"})
    try:
        processes.start_api()
        yield processes
    finally:
        processes.stop()
        shutil.rmtree(processes.store_folder, ignore_errors=True)


class Watch:
    """Watches what a process holds while it works: its memory, and its files but for the store."""

    def __init__(self, pid: int, store: Path) -> None:
        self._pid = pid
        self._store = f"{store}/"
        self._before = self._file_bytes()
        self.grown = 0

    def look(self) -> None:
        """Take note of the files now."""
        self.grown = max(self.grown, self._file_bytes() - self._before)

    def rss_peak(self) -> int:
        """Return the most memory the process ever had, in bytes."""
        status = Path(f"/proc/{self._pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024

    def _file_bytes(self) -> int:
        return sum(map(self._size, Path(f"/proc/{self._pid}/fd").iterdir()))

    def _size(self, descriptor: Path) -> int:
        # Also a file without a name, as a spooled body would be, has a size here.
        try:
            in_store = str(descriptor.readlink()).startswith(self._store)
            return 0 if in_store else descriptor.stat().st_size
        except FileNotFoundError:
            return 0


def stored_bytes(api: Processes) -> int:
    sizes = []
    for path in stored(api.store_folder):
        with contextlib.suppress(FileNotFoundError):  # a part is renamed when it is complete
            sizes.append(path.stat().st_size)
    return sum(sizes)


def send_zeros(connection: socket.socket, count: int, watch: Watch | None = None) -> None:
    for number in range(count // MIB):
        connection.sendall(bytes(MIB))
        if watch and number % 16 == 0:
            watch.look()


@SIZES
def test_a_large_upload_should_cost_neither_memory_nor_another_file(
    api: Processes, size: int
) -> None:
    upload = large(size)
    watch = Watch(api.started[0].pid, api.store_folder)

    with connected(api.port) as connection:
        connection.sendall(upload.head(AUTHORIZED) + upload.start)
        send_zeros(connection, upload.zeros, watch)
        connection.sendall(upload.end)
        response, content = answer(connection)

    assert response.status == 202, content
    [file] = api.store_folder.rglob("checkpoint.safetensors")
    assert file.stat().st_size > size
    print(
        f"{size} bytes: {watch.rss_peak() / MIB:.0f} MiB at most, other files {watch.grown} bytes"
    )
    assert watch.rss_peak() < RSS_MAX
    assert watch.grown < 10_000_000


def test_a_bad_key_should_be_refused_with_hardly_a_byte_read(api: Processes) -> None:
    upload = large(2048 * MIB)
    head = upload.head("Authorization: Bearer not-the-key-of-anyone")

    taken, response = push(api.port, head + upload.start, upload.zeros)

    assert response.status == 401
    print(f"401 after {taken} bytes")
    assert taken < 1_000_000
    assert stored(api.store_folder) == []


@SIZES
def test_a_client_that_vanishes_half_way_should_leave_nothing(api: Processes, size: int) -> None:
    upload = large(size)
    log = api.log("headgraft.service.server")

    with connected(api.port) as connection:
        connection.sendall(upload.head(AUTHORIZED) + upload.start)
        send_zeros(connection, size // 2)
        eventually(lambda: stored_bytes(api) > size // 4, 60, "a good part is in the store")

    took = eventually(lambda: not stored(api.store_folder), 60, "the store is empty")
    print(f"nothing left {took:.2f} s after the client went")
    eventually(lambda: '"status": 499' in log.read_text(), 60, "the request is logged")
    assert "Traceback" not in log.read_text()
    assert httpx.get(f"{api.url}/readyz").status_code == 200


class Confined:
    """An API and, when asked for, a worker over a store on a disk with an end."""

    def __init__(self, processes: Processes, disk: Disk) -> None:
        self.disk = disk
        self._processes = processes
        self.api = processes.start_api()
        self.client = httpx.Client(base_url=processes.url, timeout=30)

    def start_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        return self._processes.start_worker(**environment)

    def files(self) -> list[Path]:
        """Return what lies in the store."""
        return stored(self.disk.seen / "store")

    def accepted(self, **fields: Any) -> str:
        """Submit a sound injection; return its id."""
        response = submit(self.client, injection(**fields))
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def job(self, name: str) -> dict[str, Any]:
        return dict(self.client.get(f"/v1/injections/{name}").json())

    def ended(self, name: str) -> dict[str, Any]:
        over = {"succeeded", "failed"}
        eventually(lambda: self.job(name)["status"] in over, 60, f"{name} has ended")
        return self.job(name)


@pytest.fixture
def confined(kind: str, redis_url: str, ledger: Ledger, tmp_path: Path) -> Iterator[Confined]:
    """Return a service whose disk can be filled; its logs lie elsewhere."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder) as small:
        if kind == "a small disk" and small is None:
            pytest.skip("no file system can be mounted here; the limit on files stands in for it")
        disk: Disk = small if kind == "a small disk" and small else SmallFiles(folder)
        store = {"HEADGRAFT_STORE_URL": f"file://{folder}/store"}
        processes = Processes(tmp_path, redis_url, store, prefix=disk.prefix)
        try:
            service = Confined(processes, disk)
            yield service
            service.client.close()
        finally:
            processes.stop()


def large_file() -> bytes:
    """Return a sound checkpoint of 8 MiB."""
    return checkpoint({"filler": ("U8", (8 * MIB,), bytes(8 * MIB)), **head_tensors()})


@DISKS
def test_a_disk_that_is_full_should_refuse_an_upload_and_then_serve_on(
    confined: Confined,
) -> None:
    confined.accepted()
    before = confined.files()
    confined.disk.fill(MIB, family(confined.api))

    file_refused = submit(confined.client, file=large_file())
    # The checkpoint finds room, the request behind it does not.
    wordy = [{"name": f"new {number}", "description": "x" * 1000} for number in range(2500)]
    request_refused = submit(confined.client, injection(add=wordy))

    for refused in (file_refused, request_refused):
        document = problem(refused, 507, "store_full")
        assert "store is full" in document["detail"]
        assert "retry-after" not in refused.headers
    assert confined.files() == before
    assert confined.client.get("/readyz").status_code == 200
    confined.disk.empty(family(confined.api))
    assert submit(confined.client, file=large_file()).status_code == 202


@DISKS
def test_a_disk_that_is_full_should_fail_the_commit_by_name_and_then_run_the_next_job(
    confined: Confined, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    worker = confined.start_worker(HEADGRAFT_FAULT=f"before_publish:hold:{flag}")
    asked = injection(class_embeddings=vectors())
    first = submit(confined.client, asked, large_file()).json()["id"]
    eventually(flag.exists, 60, "the result is there, and not yet in the store")
    before = confined.files()
    confined.disk.fill(MIB, family(worker))
    flag.with_name("flag.go").touch()

    failed = confined.ended(first)

    assert failed["status"] == "failed"
    assert failed["error"]["code"] == "store_error"
    assert confined.disk.reason in failed["error"]["message"]
    eventually(lambda: confined.files() == before, 60, "the run's own folder is empty")
    confined.disk.empty(family(worker))
    after = submit(confined.client, asked, large_file()).json()["id"]
    assert confined.ended(after)["status"] == "succeeded"
    assert psutil.pid_exists(worker.pid)

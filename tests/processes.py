"""Starts the product's real processes for a test, and ends exactly those it started."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

READY_SECONDS = 60.0


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Wait until a condition holds and return the seconds it took; fail naming `what`."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - start


@dataclass
class Processes:
    """An API and workers over one Redis and one store folder; logs go to files in `folder`.

    `prefix` is a command that each process is started by, and becomes.
    """

    folder: Path
    redis_url: str
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    prefix: tuple[str, ...] = ()
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def store_folder(self) -> Path:
        return self.folder / "artifacts"

    def start(self, module: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start `python -m module` with this fixture's Redis and store."""
        variables = {
            **{k: v for k, v in os.environ.items() if not k.startswith("HEADGRAFT_")},
            "HEADGRAFT_REDIS_URL": self.redis_url,
            "HEADGRAFT_STORE_URL": f"file://{self.store_folder}",
            "HEADGRAFT_CACHE": str(self.folder / "cache"),
            "HEADGRAFT_PORT": str(self.port),
            **self.environment,
            **environment,
        }
        with self.log(module).open("ab") as log:
            process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", module, *arguments],
                env=variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def log(self, module: str) -> Path:
        """Return the file a module's processes log to."""
        return self.folder / f"{module}.log"

    def start_api(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start the API and wait until it is ready."""
        process = self.start("headgraft.service.server", **environment)
        eventually(lambda: self._is_ready(process), READY_SECONDS, "the API is ready")
        return process

    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, self.log("headgraft.service.server").read_text()
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def start_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker's parent; it starts its child itself."""
        return self.start(
            "headgraft.workers.process.parent", HEADGRAFT_DEVICES="cpu", **environment
        )

    def children(self, parent: subprocess.Popen[bytes]) -> list[int]:
        """Return the pids of the worker children of a parent."""
        family = psutil.Process(parent.pid).children()
        return [
            member.pid for member in family if "headgraft.workers.process.child" in member.cmdline()
        ]

    def stop(self) -> None:
        """End everything that was started, children included."""
        for process in self.started:
            _kill_tree(process)


def _kill_tree(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        for member in family:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
    process.wait(10)

"""Starts the product's real processes for a test, and ends exactly those it started."""

import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

READY_SECONDS = 120.0


# Below the ports that Linux gives to outgoing connections (from 32768): one of those could be
# taken between the moment a test chooses it and the moment its server listens there. A second
# port may be had at a distance of 10,000.
PORTS = range(10_000, 20_000)
# pytest-xdist names its processes gw0, gw1, ...; each chooses among ports of its own.
PROCESS_PORTS = 1_000


def _own_ports() -> Iterator[int]:
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = number * PROCESS_PORTS % len(PORTS)
    own = PORTS[first : first + PROCESS_PORTS]
    start = random.SystemRandom().randrange(len(own))
    return itertools.cycle([*own[start:], *own[:start]])


_ports = _own_ports()


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on, each time another."""
    for port in itertools.islice(_ports, PROCESS_PORTS):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def eventually(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Wait until a condition holds and return the seconds it took; fail naming `what`."""
    start = time.monotonic()
    while not condition():
        passed = time.monotonic() - start
        assert passed < seconds, f"not within {seconds} s: {what}"
        # Asking all the time would take the processor from the worker that is waited for.
        time.sleep(min(0.02 + passed / 20, 0.25))
    return time.monotonic() - start


def command_line(process: psutil.Process) -> list[str]:
    """Return a process's command line; one that ends meanwhile, or has ended, has none."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


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
            member.pid
            for member in family
            if "headgraft.workers.process.child" in command_line(member)
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
    process.wait(60)

"""Runs what containers would run as processes of this machine.

The commands stay as they are written; the paths, ports and host names in them are put on this
machine, as mounts, ports and the compose network would.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headgraft.service.local import redis_server
from tests.deployment import compose, dockerfiles, programs
from tests.deployment.compose import ROOT, Document
from tests.processes import eventually, free_port

CONTAINER_PATHS = re.compile(
    r"(?<![\w.])/(?=(?:var/(?:lib|cache)/headgraft|(?:etc|opt)/headgraft|encoders|data"
    r"|(?:etc/)?prometheus)\b)"
)
HOST_NAMES = re.compile(r"(?<=[/@\"])(?:redis|s3|api|192\.0\.2\.1)(?=:\d)")
PORTS = ("6379", "6380", "8000", "8080", "8333", "8443", "8888", "9090", "9100", "9333")
# SeaweedFS listens on a second port beside each of its own.
SECOND_PORT = 10_000
HEALTHY_SECONDS = 180.0
DOCKERS_GRACE = "10s"


@dataclass
class Part:
    """A service that runs: its process, and the health check that goes with it."""

    name: str
    process: subprocess.Popen[bytes]
    health_check: list[str]
    environment: dict[str, str]
    folder: Path
    grace_seconds: float
    log: Path

    def is_healthy(self) -> bool:
        """Run the health check once."""
        assert self.process.poll() is None, f"{self.name} ended: {self.log.read_text()[-3000:]}"
        return self.check() == 0

    def check(self) -> int:
        """Run the health check, whether or not anything runs, and return its exit code."""
        return subprocess.run(
            self.health_check,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            timeout=30,
            check=False,
        ).returncode

    def stop(self) -> float:
        """Send SIGTERM and return the seconds until the process ended by itself."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(self.grace_seconds)
        return time.monotonic() - start


@dataclass
class Outside:
    """One machine in the containers' place; `images` has each Dockerfile's Python environment."""

    folder: Path
    images: Mapping[Path, Path]
    ports: dict[str, int] = field(default_factory=lambda: {port: _free_pair() for port in PORTS})
    parts: list[Part] = field(default_factory=list)

    def put(self, text: str) -> str:
        """Put the paths, names and ports of a text on this machine."""
        text = text.replace("0.0.0.0", "127.0.0.1")
        text = HOST_NAMES.sub("127.0.0.1", text)
        text = CONTAINER_PATHS.sub(f"{self.folder}/", text)
        numbers = re.compile(rf"\b(?:{'|'.join(self.ports)})\b")
        return numbers.sub(lambda found: str(self.ports[found[0]]), text)

    def start(self, document: Document, name: str, *, leave_out: str = "never") -> Part:
        """Start a service, without the options that begin with `leave_out`."""
        one = compose.service(document, name)
        image = ROOT / one["build"]["dockerfile"] if "build" in one else None
        self._mount(document, name, image)
        command = one.get("command") or dockerfiles.command(_known(image))
        log = self.folder / f"{name}.log"
        environment = self._environment(one, image)
        start = one.get("entrypoint", [])
        with log.open("ab") as output:
            process = subprocess.Popen(
                [self.put(word) for word in [*start, *_without(command, leave_out)]],
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        checked = [self.put(word) for word in _health_check(one, image)]
        grace = compose.seconds(one.get("stop_grace_period", DOCKERS_GRACE))
        part = Part(name, process, checked, environment, self.folder, grace, log)
        self.parts.append(part)
        return part

    def start_healthy(self, document: Document, name: str, *, leave_out: str = "never") -> Part:
        """Start a service and wait until its own health check is content."""
        part = self.start(document, name, leave_out=leave_out)
        eventually(part.is_healthy, HEALTHY_SECONDS, f"{name} is healthy")
        return part

    def close(self) -> None:
        """End what still runs; a parent's death ends its children."""
        for part in self.parts:
            if part.process.poll() is None:
                part.process.kill()
            part.process.wait()
        for port in self.ports.values():
            for number in (port, port + SECOND_PORT):
                for left in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):
                    left.unlink()

    def _environment(self, one: compose.Service, image: Path | None) -> dict[str, str]:
        """Return a container's variables, and what tests/conftest.py tells all processes."""
        own = {name: self.put(str(value)) for name, value in one.get("environment", {}).items()}
        given = {} if image is None else dockerfiles.environment(image)
        ours = [self.images[image] / "bin"] if image else []
        folders = [*ours, self._binaries(), Path(sys.executable).parent, os.environ["PATH"]]
        rest = {"PATH": os.pathsep.join(map(str, folders)), "HOME": str(self.folder)}
        return {**given, **own, **rest, "PYTHONPATH": os.environ["PYTHONPATH"]}

    def _binaries(self) -> Path:
        """Return a folder that holds `valkey-server`, as the image has it on its PATH."""
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        server = folder / "valkey-server"
        if not server.exists():
            server.symlink_to(redis_server.find_binary()[0])
        return folder

    def _mount(self, document: Document, name: str, image: Path | None) -> None:
        one = compose.service(document, name)
        for mount in compose.mounts(one):
            source = ROOT / mount["source"]
            if source.is_file():
                self._write(mount["target"], source.read_text())
            else:
                self._local(mount["target"]).mkdir(parents=True, exist_ok=True)
        for config in one.get("configs", []):
            self._write(config["target"], document["configs"][config["source"]]["content"])
        for source_path, target in dockerfiles.copied(image) if image else []:
            if target.startswith("/"):
                self._write(target, (ROOT / source_path).read_text())

    def _local(self, path: str) -> Path:
        return self.folder / path.removeprefix("/")

    def _write(self, target: str, text: str) -> None:
        path = self._local(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(self.put(text))


def _free_pair() -> int:
    """Return a free port whose second port is a number that a port can have, and free, too."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError, OverflowError), socket.socket() as second:
            second.bind(("127.0.0.1", port + SECOND_PORT))
            return port


def _health_check(one: compose.Service, image: Path | None) -> list[str]:
    """Return the words of a service's health check; none for one that ends by itself."""
    if "healthcheck" in one:
        words: list[str] = one["healthcheck"]["test"][1:]
        programs.find(words[0], package=words[0])
        return words
    return dockerfiles.health_check(image) if image else []


def _known(image: Path | None) -> Path:
    assert image is not None, "a service without a command is built here"
    return image


def _without(command: list[str], prefix: str) -> list[str]:
    """Leave out options and their values: every one of ours has exactly one."""
    dropped = {i + step for i, w in enumerate(command) if w.startswith(prefix) for step in (0, 1)}
    return [word for i, word in enumerate(command) if i not in dropped]

"""A worker's parent process: one child per device, started again when it ends."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from headgraft.workers import logs
from headgraft.workers.config import WorkerSettings
from headgraft.workers.environment import read_or_exit
from headgraft.workers.processes import Supervisor, start_module

POLL_SECONDS = 0.1
KILL_AFTER_SECONDS = 20.0
PERIOD_SECONDS = 3600.0
JANITOR = "headgraft.workers.process.janitor"
JANITOR_PAUSE_SECONDS = 60.0
SCRATCH = "headgraft-child-"
# OpenMP's threads spin while they wait: beside any other busy process that cost a factor of 18.
QUIET_THREADS = {"OMP_WAIT_POLICY": "passive"}

log = structlog.get_logger()


@dataclass
class DeviceChild:
    """The child that serves a device; its scratch folder ends with it."""

    device: str
    process: subprocess.Popen[bytes] | None = None
    scratch: str = ""
    starts: int = 0

    def restart(self) -> None:
        """Start the child with a new scratch folder."""
        self.scratch = tempfile.mkdtemp(prefix=f"{SCRATCH}{os.getpid()}-")
        variables = {**QUIET_THREADS, **os.environ, "TMPDIR": self.scratch}
        device, environment = _visible(self.device, variables)
        self.process = start_module(
            "headgraft.workers.process.child", device, str(self.starts), environment=environment
        )
        self.starts += 1
        log.info("child_started", device=self.device, pid=self.process.pid)

    def poll(self) -> int | None:
        """Return the exit code once ended, the scratch folder removed; None before."""
        code = self.process.poll() if self.process else None
        if code is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
        return code

    def note_end(self, reason: str, pause_seconds: float) -> None:
        """Log why the child does not run, and when the next one starts."""
        log.warning("child_ended", device=self.device, reason=reason, pause=pause_seconds)


class Parent:
    """Keeps a child running for every device until stopped."""

    def __init__(self, grace_seconds: float, names: list[str]) -> None:
        self.grace_seconds = grace_seconds
        self.children = [DeviceChild(name) for name in names]
        self.supervisors = [Supervisor(one, one.note_end, start_at=0) for one in self.children]
        self.stopping = False
        self.janitor: subprocess.Popen[bytes] | None = None
        self.janitor_at = 0.0

    def stop(self, *_signal: object) -> None:
        """Begin to stop; `serve` does it."""
        self.stopping = True

    def serve(self) -> None:
        """Start children and replace those that end; on stop, drain them, at last kill them."""
        while not self.stopping:
            for supervisor in self.supervisors:
                supervisor.tend()
            self._tend_janitor()
            time.sleep(POLL_SECONDS)
        if self.janitor:
            self.janitor.kill()
            self.janitor.wait()
        self._finish(signal.SIGTERM, self.grace_seconds + KILL_AFTER_SECONDS)
        self._finish(signal.SIGKILL, KILL_AFTER_SECONDS)

    def _tend_janitor(self) -> None:
        """Start a janitor each hour; one that ends by an error or lasts for an hour is replaced."""
        now = time.monotonic()
        if self.janitor and (code := self.janitor.poll()) is not None:
            self.janitor = None
            if code:
                log.error("janitor_died", code=code, pause_seconds=JANITOR_PAUSE_SECONDS)
                self.janitor_at = now + JANITOR_PAUSE_SECONDS
        elif self.janitor and now >= self.janitor_at:
            log.error("janitor_stuck", seconds=PERIOD_SECONDS)
            self.janitor.kill()
        elif self.janitor is None and now >= self.janitor_at:
            self.janitor_at = now + PERIOD_SECONDS
            try:
                self.janitor = start_module(JANITOR, environment=os.environ)
            except OSError as error:
                log.error("janitor_not_started", error=str(error))
                self.janitor_at = now + JANITOR_PAUSE_SECONDS

    def _finish(self, order: signal.Signals, patience_seconds: float) -> None:
        started = [child for child in self.children if child.process]
        for child in started:
            if child.process:
                child.process.send_signal(order)
        deadline = time.monotonic() + patience_seconds
        while any(child.poll() is None for child in started) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


def sweep_scratch(folder: Path) -> None:
    """Remove the scratch folders that killed parents left; a living process's stay."""
    for path in folder.glob(f"{SCRATCH}*-*"):
        owner = path.name.removeprefix(SCRATCH).partition("-")[0]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(path, ignore_errors=True)


def devices(named: str | None) -> list[str]:
    """Return the devices to serve: those named, else every visible GPU, else the CPU."""
    if named:
        return [name.strip() for name in named.split(",") if name.strip()]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        indices = [name for name in visible.split(",") if name.strip()]
    else:
        indices = [str(index) for index in range(_gpu_count())]
    return [f"cuda:{index}" for index in indices] or ["cpu"]


def _gpu_count() -> int:
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    listed = subprocess.run([command, "-L"], capture_output=True, text=True, check=False)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def _visible(device: str, environment: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Show a child its own GPU only, which it then calls cuda:0."""
    if not device.startswith("cuda:"):
        return device, environment
    return "cuda:0", {**environment, "CUDA_VISIBLE_DEVICES": device.removeprefix("cuda:")}


def main() -> int:
    """Run a worker until SIGTERM or Ctrl-C; 0 when every child was drained, 2 without settings."""
    settings = read_or_exit(WorkerSettings)
    logs.configure(settings.log_level)
    parent = Parent(settings.grace_seconds, devices(settings.devices))
    signal.signal(signal.SIGTERM, parent.stop)
    signal.signal(signal.SIGINT, parent.stop)
    if sys.platform == "linux":
        sweep_scratch(Path(tempfile.gettempdir()))
    parent.serve()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

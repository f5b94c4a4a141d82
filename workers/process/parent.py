"""A worker's parent process: one child per device, started again when it ends.

It does not import torch.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from headgraft.workers import logs
from headgraft.workers.config import WorkerSettings
from headgraft.workers.environment import read_or_exit
from headgraft.workers.processes import end_with_parent

POLL_SECONDS = 0.1
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
STEADY_SECONDS = 60.0
KILL_AFTER_SECONDS = 20.0
PERIOD_SECONDS = 3600.0
SCRATCH = "headgraft-child-"
# OpenMP's threads spin while they wait: beside any other busy process that cost a factor of 18.
QUIET_THREADS = {"OMP_WAIT_POLICY": "passive"}

log = structlog.get_logger()


@dataclass
class Slot:
    """A device and the child that serves it."""

    device: str
    process: subprocess.Popen[bytes] | None = None
    scratch: str = ""
    started: float = 0.0
    start_at: float = 0.0
    ended_early: int = 0

    def start(self) -> None:
        """Start the child; it dies with this process, and its scratch folder dies with it."""
        self.scratch = tempfile.mkdtemp(prefix=f"{SCRATCH}{os.getpid()}-")
        variables = {**QUIET_THREADS, **os.environ, "TMPDIR": self.scratch}
        device, environment = _visible(self.device, variables)
        self.process = _start_with_us(
            ["-m", "headgraft.workers.process.child", device], environment
        )
        self.started = time.monotonic()
        log.info("child_started", device=self.device, pid=self.process.pid)

    def reap(self) -> None:
        """Notice that the child ended, and say when the next one starts."""
        if self.process is None or self.process.poll() is None:
            return
        steady = time.monotonic() - self.started > STEADY_SECONDS
        self.ended_early = 0 if steady else self.ended_early + 1
        pause = 0.0 if steady else BACKOFF_SECONDS[min(self.ended_early, 6) - 1]
        log.warning("child_ended", device=self.device, code=self.process.returncode, pause=pause)
        self.process = None
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.start_at = time.monotonic() + pause


@dataclass
class Parent:
    """Keeps every slot served until stopped."""

    settings: WorkerSettings
    slots: list[Slot]
    stopping: bool = field(default=False)
    janitor: subprocess.Popen[bytes] | None = None
    janitor_at: float = 0.0

    def stop(self, *_signal: object) -> None:
        """Begin to stop; `serve` does it."""
        self.stopping = True

    def serve(self) -> None:
        """Start children and replace those that end; on stop, drain them, at last kill them."""
        while not self.stopping:
            for slot in self.slots:
                slot.reap()
                if slot.process is None and time.monotonic() >= slot.start_at:
                    slot.start()
            self._tend_janitor()
            time.sleep(POLL_SECONDS)
        if self.janitor:
            self.janitor.kill()
            self.janitor.wait()
        self._finish(signal.SIGTERM, self.settings.grace_seconds + KILL_AFTER_SECONDS)
        self._finish(signal.SIGKILL, KILL_AFTER_SECONDS)

    def _tend_janitor(self) -> None:
        if self.janitor is None and time.monotonic() >= self.janitor_at:
            self.janitor = _start_with_us(
                ["-m", "headgraft.workers.process.janitor"], dict(os.environ)
            )
            self.janitor_at = time.monotonic() + PERIOD_SECONDS
        elif self.janitor and self.janitor.poll() is not None:
            self.janitor = None

    def _finish(self, order: signal.Signals, patience_seconds: float) -> None:
        running = [slot for slot in self.slots if slot.process]
        for slot in running:
            if slot.process:
                slot.process.send_signal(order)
        deadline = time.monotonic() + patience_seconds
        while any(slot.process for slot in running) and time.monotonic() < deadline:
            for slot in running:
                slot.reap()
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


def _start_with_us(arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a Python process in a session of its own that is killed when this one dies."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=environment,
        start_new_session=True,
        preexec_fn=end_with_parent(signal.SIGKILL),
    )


def main() -> int:
    """Run a worker until SIGTERM or Ctrl-C; 0 when every child was drained, 2 without settings."""
    settings = read_or_exit(WorkerSettings)
    logs.configure(settings.log_level)
    parent = Parent(settings, [Slot(device) for device in devices(settings.devices)])
    signal.signal(signal.SIGTERM, parent.stop)
    signal.signal(signal.SIGINT, parent.stop)
    if sys.platform == "linux":
        sweep_scratch(Path(tempfile.gettempdir()))
    parent.serve()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

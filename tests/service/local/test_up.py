"""`headgraft up` as a process: what it starts, keeps running, and takes along when it ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from headgraft import Headgraft
from headgraft.service.local.state import StateFolder
from tests import checkpoints, user_project
from tests.processes import command_line, eventually

START_SECONDS = 120.0
PARTS = (
    "valkey-server",
    "headgraft.service.server",
    "headgraft.workers.process.parent",
    "headgraft.workers.process.child",
)


@dataclass
class Upped:
    """A running `headgraft up`, with everything below it."""

    process: subprocess.Popen[str]
    state: StateFolder

    @property
    def url(self) -> str:
        url = self.state.running()
        assert url, "up has published no URL"
        return url

    def part(self, name: str) -> psutil.Process:
        return next(one for one in self.family() if name in " ".join(command_line(one)))

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def has(self, *names: str) -> bool:
        lines = [" ".join(command_line(one)) for one in self.family()]
        return all(any(name in line for line in lines) for name in names)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").is_success
        except httpx.TransportError:
            return False

    def said(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "headgraft", "up", *arguments]


def environment(**more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HEADGRAFT_")}
    return {**clean, "HEADGRAFT_DEVICES": "cpu", **more}


@dataclass
class Starter:
    """Starts any number of `up` over one state folder, and ends them all."""

    state: StateFolder
    started: list[Upped]

    def __call__(self, *arguments: str, **variables: str) -> Upped:
        process = subprocess.Popen(
            command("--port", "0", "--state", str(self.state.path), *arguments),
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(Upped(process, self.state))
        return self.started[-1]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Starter]:
    """Return what starts `up`; nothing of it outlives the test."""
    starter = Starter(StateFolder(tmp_path / "state"), [])
    yield starter
    for one in starter.started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
        assert one.process.stdout
        one.process.stdout.close()


def ended(processes: list[psutil.Process]) -> bool:
    return not any(command_line(one) for one in processes)


def test_everything_should_start_serve_and_end_with_one_signal(up: Starter) -> None:
    running = up()
    line = running.said()
    assert f"Headgraft serves {running.url}" in line
    eventually(lambda: running.has(*PARTS), START_SECONDS, "all parts run")
    eventually(
        lambda: httpx.get(f"{running.url}/v1/encoders").json()["data"], START_SECONDS, "a worker"
    )
    family = running.family()
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(60) == 0
    assert ended(family)
    assert up.state.running() is None
    up.state.lock().release()


def test_a_killed_up_should_take_everything_along(up: Starter) -> None:
    running = up()
    running.said()
    eventually(lambda: running.has(*PARTS), START_SECONDS, "all parts run")
    family = running.family()
    running.process.kill()
    eventually(lambda: ended(family), 60, "everything ended")
    up.state.lock().release()


def test_a_queued_job_should_survive_the_death_of_everything(up: Starter, tmp_path: Path) -> None:
    running = up("--no-worker")
    running.said()
    checkpoint = checkpoints.write(tmp_path / "net.safetensors")
    with Headgraft(running.url) as client:
        queued = client.submit(checkpoint, **checkpoints.request())
    family = running.family()
    running.process.kill()
    eventually(lambda: ended(family), 60, "everything ended")

    again = up()
    again.said()
    with Headgraft(again.url) as client:
        done = client.wait(queued.id, timeout_seconds=START_SECONDS)
        assert done.status == "succeeded", done.error
        assert client.download(queued.id, tmp_path / "out.safetensors").stat().st_size > 0


def test_a_second_signal_should_kill(up: Starter) -> None:
    running = up()
    running.said()
    eventually(lambda: running.has(*PARTS), START_SECONDS, "all parts run")
    family = running.family()
    running.part(
        "headgraft.workers.process.parent"
    ).suspend()  # it will not hear that it should end
    running.process.terminate()
    assert "stopping" in running.said()
    running.process.terminate()
    assert running.process.wait(60) == 1
    assert ended(family)


def test_a_part_that_dies_should_be_started_again(up: Starter) -> None:
    running = up()
    running.said()
    for part in PARTS[:3]:
        eventually(lambda: running.has(*PARTS[:3]), START_SECONDS, "the parts run")
        victim = running.part(part)
        victim.kill()
        assert "ended with code -9" in running.said()
        eventually(
            lambda part=part, victim=victim: (  # type: ignore[misc]
                running.has(part) and running.part(part).pid != victim.pid
            ),
            60,
            "a new one runs",
        )
        eventually(running.is_ready, 60, "the service is ready again")
    running.process.terminate()
    assert running.process.wait(60) == 0


def test_a_second_up_should_be_refused_with_the_pid_of_the_first(up: Starter) -> None:
    running = up("--no-worker")
    running.said()
    port = running.url.rpartition(":")[2]
    assert running.has("valkey-server", "headgraft.service.server")
    assert not running.has("headgraft.workers.process.parent")
    second = up("--no-worker", "--port", port)
    assert f"is in use by process {running.process.pid} (headgraft up)" in second.said()
    assert second.process.wait(60) == 1
    assert running.is_ready()


def test_a_redis_that_is_named_should_be_used(up: Starter, redis_url: str) -> None:
    running = up("--no-worker", HEADGRAFT_REDIS_URL=redis_url)
    running.said()
    assert up.state.running("redis-url") == redis_url
    assert not running.has("valkey-server")


def test_a_redis_that_is_away_should_be_told_while_it_is_waited_for(up: Starter) -> None:
    running = up("--no-worker", HEADGRAFT_REDIS_URL="redis://ada:hunter2@127.0.0.1:1")
    assert running.said() == (
        "waiting for up to 60 s: /readyz says 503: Redis does not answer; try again\n"
    )
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0
    assert "hunter2" not in (up.state.logs / "api.log").read_text()


def test_a_taken_port_should_be_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = command("--no-worker", "--port", port, "--state", str(tmp_path))
        ran = subprocess.run(arguments, env=environment(), capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in ran.stderr


def test_a_defect_of_the_environment_should_be_shown_and_nothing_left(up: Starter) -> None:
    running = up("--no-worker", HEADGRAFT_API_KEYS="ada:short")
    line = running.said()
    assert line.startswith("headgraft: entry 1 of HEADGRAFT_API_KEYS must be")
    assert "at least 16" in line
    assert running.said() == ""
    assert running.process.wait(60) == 1
    up.state.lock().release()


def test_a_project_with_packages_and_files_named_like_ours_should_be_no_obstacle(
    up: Starter, tmp_path: Path
) -> None:
    project, other = (user_project.write(tmp_path / name) for name in ("project", "other"))
    # Python itself puts the folder first for `python -m`; what `up` starts must not meet this.
    (project / "redis.py").write_text("raise SystemExit('not redis')\n")
    script = Path(sys.executable).with_name("headgraft")
    process = subprocess.Popen(
        [script, "up", "--port", "0", "--state", str(up.state.path)],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    running = Upped(process, up.state)
    up.started.append(running)
    assert "Headgraft serves" in running.said()
    for command, folder in (([script], project), ([sys.executable, "-m", "headgraft"], other)):
        listed = subprocess.run(
            [*command, "methods", "--url", running.url],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
        )
        assert "ridge: " in listed.stdout, listed.stderr
    eventually(
        lambda: httpx.get(f"{running.url}/v1/encoders").json()["data"], START_SECONDS, "a worker"
    )

"""`headgraft up`: everything on one machine, as children of one process that ends them all."""

import contextlib
import importlib.util
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import httpx

from headgraft.service.local import redis_server
from headgraft.service.local.state import StateFolder, StateLock
from headgraft.workers.processes import BACKOFF_SECONDS, Supervisor, last_lines, start_module, stop

READY_SECONDS = 60.0
POLL_SECONDS = 0.1
REASON_SECONDS = 5.0  # after this, the terminal shows what keeps the API from being ready
NOT_READY = "/readyz says"
API_STOP_SECONDS = 10.0
WORKER_STOP_SECONDS = 10.0  # on top of the grace its jobs get
GRACE_SECONDS = 60.0
CODE_OF_WRONG_SETTINGS = 2
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # asked for, not bound


class UpError(Exception):
    """Something did not start; the text says what and why."""


class _Impatient(BaseException):
    """The second signal: end everything now, whatever is being waited for."""


@dataclass(frozen=True)
class Options:
    """Where to listen (port 0: any free one), where to keep things, and what to leave out."""

    state: StateFolder
    host: str = "127.0.0.1"
    port: int = 8000
    with_worker: bool = True


class LocalChild:
    """One of our modules as a child process that logs to a file."""

    def __init__(self, module: str, environment: Mapping[str, str], log: Path) -> None:
        self._module = module
        # A file of the folder we run in, such as a user's redis.py, must not hide a package.
        self._environment = {**environment, "PYTHONSAFEPATH": "1"}
        self.log = log
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        self._process: subprocess.Popen[bytes] | None = None

    def poll(self) -> int | None:
        """Return the exit code once ended, None before."""
        return self._process.poll() if self._process else None

    def restart(self) -> None:
        """Start the process."""
        with self.log.open("ab") as log:
            self._process = start_module(self._module, environment=self._environment, log=log)

    def stop(self, patience_seconds: float) -> None:
        """Ask the process to end; kill it when it has not after that time."""
        if self._process:
            stop(self._process, patience_seconds)


class Up:
    """The processes of one service, from `run` to its end."""

    def __init__(
        self, options: Options, environment: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._options = options
        self._given = environment
        self._say_loudly = say
        self._signals = 0
        self._redis: redis_server.RedisServer | None = None
        self._api: LocalChild | None = None
        self._worker: LocalChild | None = None
        self._supervisors: list[Supervisor] = []

    def run(self) -> bool:
        """Start all, serve until a signal, stop in order; False when a second signal cut it short.

        UpError, StateError or ServerError when something cannot start. No process is left.
        """
        if self._options.with_worker:
            require_torch()
        lock = self._options.state.lock()
        handlers = {number: signal.signal(number, self._on_signal) for number in _STOPPERS}
        try:
            self._start(lock, choose_port(self._options.host, self._options.port))
            self._serve()
            self._stop()
        except _Impatient:
            return False
        finally:
            for number in _STOPPERS:
                signal.signal(number, signal.SIG_IGN)
            self._end_rest()
            lock.release()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return True

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals == 1:
            self._say("stopping; once more to kill")
        elif self._signals == 2:
            raise _Impatient

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone
            self._say_loudly(line)

    def _start(self, lock: StateLock, port: int) -> None:
        state = self._options.state
        redis_url = self._given.get("HEADGRAFT_REDIS_URL") or self._start_redis(lock)
        environment = self._environment(redis_url, port)
        state.logs.mkdir(exist_ok=True)
        self._api = self._keep("API", "headgraft.service.server", environment)
        if self._options.with_worker:
            self._worker = self._keep("worker", "headgraft.workers.process.parent", environment)
        url = f"http://{_bracketed(ANY_ADDRESS.get(self._options.host, self._options.host))}:{port}"
        if self._wait_until_ready(self._api, url):
            lock.publish("redis-url", redis_url)
            lock.publish("store-url", environment["HEADGRAFT_STORE_URL"])
            lock.publish("url", url)
            self._say(f"Headgraft serves {url} (logs in {state.logs}; Ctrl-C stops it)")

    def _start_redis(self, lock: StateLock) -> str:
        state = self._options.state
        self._redis = redis_server.start(
            state.redis,
            inherit=(lock.fd,),
            on_start=lambda pid: lock.note_holder("its Redis server", pid),
        )
        self._supervise("Redis server", self._redis)
        return self._redis.url

    def _environment(self, redis_url: str, port: int) -> dict[str, str]:
        state = self._options.state
        defaults = {
            "HEADGRAFT_STORE_URL": state.store_url,
            "HEADGRAFT_CACHE": str(state.cache),
            **({"HEADGRAFT_ENCODERS": str(state.encoders)} if state.encoders.is_dir() else {}),
        }
        chosen = {
            "HEADGRAFT_REDIS_URL": redis_url,
            "HEADGRAFT_HOST": self._options.host,
            "HEADGRAFT_PORT": str(port),
        }
        return {**defaults, **self._given, **chosen}

    def _keep(self, name: str, module: str, environment: Mapping[str, str]) -> LocalChild:
        log = self._options.state.logs / f"{name.lower()}.log"
        child = LocalChild(module, environment, log)
        child.restart()
        self._supervise(name, child)
        return child

    def _supervise(self, name: str, part: LocalChild | redis_server.RedisServer) -> None:
        def note(reason: str, pause_seconds: float) -> None:
            self._say(f"the {name} {reason} (see {part.log}); again in {pause_seconds:g} s")

        self._supervisors.append(Supervisor(part, note, pause_min_seconds=BACKOFF_SECONDS[0]))

    def _wait_until_ready(self, api: LocalChild, url: str) -> bool:
        """Return True once ready, False when told to stop before."""
        started, is_shown = time.monotonic(), False
        with httpx.Client(base_url=url, trust_env=False) as client:
            while not self._signals:
                for name, child in (("API", api), ("worker", self._worker)):
                    _require_running(name, child)
                answer = _readiness(client)
                if answer is None:
                    return True
                waited = time.monotonic() - started
                if waited > READY_SECONDS:
                    raise UpError(f"not ready after {READY_SECONDS:g} s: {answer}")
                if waited > REASON_SECONDS and answer.startswith(NOT_READY) and not is_shown:
                    self._say(f"waiting for up to {READY_SECONDS:g} s: {answer}")
                    is_shown = True
                time.sleep(POLL_SECONDS)
        return False

    def _serve(self) -> None:
        while not self._signals:
            for supervisor in self._supervisors:
                supervisor.tend()
            time.sleep(POLL_SECONDS)

    def _stop(self) -> None:
        if self._api:
            self._api.stop(API_STOP_SECONDS)
        if self._worker:
            grace = float(self._given.get("HEADGRAFT_GRACE_SECONDS") or GRACE_SECONDS)
            self._worker.stop(grace + WORKER_STOP_SECONDS)

    def _end_rest(self) -> None:
        for child in (self._api, self._worker):
            if child:
                child.stop(0)
        if self._redis:
            self._redis.stop()  # not killed even in a hurry: it ends within milliseconds


_STOPPERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def choose_port(host: str, port: int) -> int:
    """Return the port, or a free one for 0; UpError when it cannot be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        raise UpError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose with --host and --port"
        ) from error


def require_torch() -> None:
    """Return where torch is installed (it is not imported); UpError where not."""
    if importlib.util.find_spec("torch") is None:
        raise UpError(
            "a worker needs torch, which is not installed: pip install 'headgraft[worker]', or "
            "leave the worker out with --no-worker"
        )


def _require_running(name: str, child: LocalChild | None) -> None:
    """Return while the child runs; UpError once the API ended, or a worker for its settings."""
    code = child.poll() if child else None
    if child is None or code is None:
        return
    if code == CODE_OF_WRONG_SETTINGS:
        raise UpError(child.log.read_text(errors="replace").strip().removeprefix("headgraft: "))
    if name == "API":
        raise UpError(f"the API ended with code {code} as it started; {last_lines(child.log)}")


def _readiness(client: httpx.Client) -> str | None:
    """Return why the service is not ready, None when it is."""
    try:
        reply = client.get("/readyz", timeout=5)
    except httpx.TransportError as error:
        return str(error)
    return None if reply.is_success else f"{NOT_READY} {reply.status_code}: {_detail(reply)}"


def _detail(reply: httpx.Response) -> str:
    """Return the sentence in a problem document."""
    try:
        return str(reply.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return reply.text


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host

"""A Redis server with a replica, and a Sentinel that watches both: each is one process of ours."""

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from headgraft.service.local.redis_server import find_binary
from tests.processes import eventually, free_port

NO_RETRY = Retry(NoBackoff(), 0)
# It does nothing for a minute of silence, until `expect_failover` makes it quick.
SENTINEL = """
port {port}
dir {folder}
sentinel monitor main 127.0.0.1 {master} 1
sentinel down-after-milliseconds main 60000
sentinel failover-timeout main 3000
"""


@dataclass
class RedisProcess:
    """One server; its data last from one start to the next."""

    folder: Path
    arguments: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        """Start it and return at once; `more` are options of this start alone."""
        command = [str(find_binary()[0]), *self.arguments, *more]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    @property
    def client(self) -> "redis.Redis":
        """Return a new client, which repeats nothing."""
        return redis.Redis(port=self.port, retry=NO_RETRY, decode_responses=True, socket_timeout=20)

    def wait(self) -> None:
        """Wait until it answers."""
        eventually(self._answers, 60, f"the server in {self.folder} answers")

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError), self.client as client:
            return bool(client.ping())
        return False

    def kill(self) -> None:
        """End it at once."""
        if self.process:
            self.process.kill()
            self.process.wait(60)


def server(folder: Path, *options: str) -> RedisProcess:
    """Return a server that is not started yet."""
    folder.mkdir(parents=True)
    one = RedisProcess(folder)
    where = ("--port", str(one.port), "--dir", str(folder))
    one.arguments = (*where, "--appendonly", "yes", "--save", "", *options)
    return one


@contextmanager
def replicated(folder: Path) -> Iterator[tuple[RedisProcess, RedisProcess]]:
    """Start a master, its replica, and a Sentinel; yield the master and the Sentinel."""
    master = server(folder / "master", "--repl-diskless-sync-delay", "0")
    replica = server(folder / "replica", "--replicaof", f"127.0.0.1 {master.port}")
    sentinel = RedisProcess(folder / "sentinel")
    sentinel.folder.mkdir()
    settings = sentinel.folder / "sentinel.conf"
    about = {"port": sentinel.port, "folder": sentinel.folder, "master": master.port}
    settings.write_text(SENTINEL.format(**about))
    sentinel.arguments = (str(settings), "--sentinel")
    try:
        for one in (master, replica, sentinel):
            one.start()
            one.wait()
        eventually(lambda: _knows_replica(sentinel), 60, "the Sentinel has seen the replica")
        yield master, sentinel
    finally:
        for one in (master, replica, sentinel):
            one.kill()


def _knows_replica(sentinel: RedisProcess) -> bool:
    with sentinel.client as client:
        found = client.execute_command("SENTINEL", "REPLICAS", "main")
        return [one["master-link-status"] for one in found] == ["ok"]


def expect_failover(sentinel: RedisProcess) -> None:
    """Let the Sentinel replace a master that is silent for half a second."""
    with sentinel.client as client:
        client.execute_command("SENTINEL", "SET", "main", "down-after-milliseconds", "500")

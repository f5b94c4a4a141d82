"""Real parts for every test: a server of our own, a ledger over it, a store in a folder."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from xdist.remote import Producer

from headgraft.service.local import redis_server
from tests import processes, schedule
from tests.ledger import Ledger

if TYPE_CHECKING:
    from headgraft.workers.store import Store


# A shell ignores Ctrl-C for what it starts in the background, and children inherit that: tests
# that send it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Four test processes share the cores: threads of one operation would only wait for each other.
# torch, which reads this when it is imported, is not imported yet.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The Python processes that tests start run tests/site/sitecustomize.py.
SITE = Path(__file__).parent / "site"
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SITE), os.environ.get("PYTHONPATH")]))

# An example may take any time where other processes have the cores, and each run of the gate sends
# the same ones: random ones are for `make soak`.
settings.register_profile("gate", deadline=None, derandomize=True, database=None)
settings.load_profile("gate")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> schedule.ByCost:
    """Let pytest-xdist hand out the tests as tests/schedule.py says."""
    return schedule.ByCost(config, log)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a server that lives as long as the test run."""
    server = redis_server.start(tmp_path_factory.mktemp("redis"))
    yield server.url
    server.stop()


@pytest.fixture
def ledger(redis_url: str) -> Iterator[Ledger]:
    """Return a ledger over an empty database."""
    ledger = Ledger(redis_url)
    ledger.client.flushdb()
    yield ledger
    ledger.client.close()


@pytest.fixture
def store(tmp_path: Path) -> "Store":
    """Return a store in the test's own folder."""
    from headgraft.workers.store import (
        Store,  # a store that cannot be imported fails its own tests only
    )

    return Store(f"file://{tmp_path}/store")


@pytest.fixture
def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    return processes.free_port()

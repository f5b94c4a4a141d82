"""The compose services as processes, started once; each test adds what it needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment import compose, outside
from tests.deployment.outside import Outside

API_KEY = "deployment-test-key"
VARIABLES = {
    "HEADGRAFT_REDIS_PASSWORD": "nodepassword",
    "HEADGRAFT_REMOTE_PASSWORD": "remotepassword",
    "HEADGRAFT_API_KEYS": f"tester:{API_KEY}",
    "HEADGRAFT_PRIVATE_ADDRESS": "192.0.2.1",
    "AWS_SECRET_ACCESS_KEY": "storepassword",
}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package into a folder, not editable: as in the images."""
    return outside.install(tmp_path_factory.mktemp("image"))


@pytest.fixture
def node() -> compose.Document:
    """Return docker-compose.yml with every variable set that it requires."""
    return compose.load([compose.NODE], VARIABLES)


@pytest.fixture
def host(tmp_path: Path, site: Path) -> Iterator[Outside]:
    """Return this machine in the containers' place; what a test leaves running is ended."""
    machine = Outside(tmp_path, site)
    yield machine
    machine.close()

"""The compose services as processes, started once; each test adds what it needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment import compose, installed
from tests.deployment.dockerfiles import FILES
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
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package as it is installed in the images, and by users."""
    return installed.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def images(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """Return each Dockerfile's Python environment, with what it installs and nothing else."""
    folder = tmp_path_factory.mktemp("images")
    return {file: installed.install(file, wheel, folder / file.stem) for file in FILES}


@pytest.fixture
def node() -> compose.Document:
    """Return docker-compose.yml with every variable set that it requires."""
    return compose.load([compose.NODE], VARIABLES)


@pytest.fixture
def host(tmp_path: Path, images: dict[Path, Path]) -> Iterator[Outside]:
    """Return this machine in the containers' place; what a test leaves running is ended."""
    machine = Outside(tmp_path, images)
    yield machine
    machine.close()

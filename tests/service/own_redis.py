"""A Redis for one file of tests: whatever API shares one sends its deliveries, too.

A file that imports `redis_url` from here has it instead of the test run's.
"""

from collections.abc import Iterator

import pytest

from headgraft.service.local import redis_server


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a server that lives as long as the file's tests."""
    own = redis_server.start(tmp_path_factory.mktemp("redis"))
    yield own.url
    own.stop()

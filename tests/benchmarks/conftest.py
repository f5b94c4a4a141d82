"""The folder of the data that benchmarks read; what needs it is skipped without it."""

from pathlib import Path

import pytest

from tests.benchmarks.data import bench_folder


@pytest.fixture
def folder() -> Path:
    found = bench_folder()
    if found is None:
        pytest.skip("HEADGRAFT_BENCH_DATA is not set")
    return found

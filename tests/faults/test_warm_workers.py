"""When a worker loads its encoders: before a job asks, except where the tests spare it that."""

import os
import subprocess
import sys
from pathlib import Path

from tests.faults.conftest import Bench
from tests.processes import eventually


def has_loaded_an_encoder(bench: Bench, worker: subprocess.Popen[bytes]) -> bool:
    """Tell whether the worker's child has the library in memory that reads text for encoders."""
    maps = [Path(f"/proc/{child}/maps") for child in bench.processes.children(worker)]
    return any("tokenizers" in path.read_text() for path in maps)


def test_a_worker_should_load_its_encoders_before_a_job_asks(bench: Bench) -> None:
    worker = bench.processes.start_worker(HEADGRAFT_TEST_WARM="1")
    eventually(lambda: has_loaded_an_encoder(bench, worker), 180, "an encoder is loaded")


def test_a_worker_of_the_tests_should_load_none_before_a_job_asks(bench: Bench) -> None:
    """Otherwise tests/site/sitecustomize.py has lost its effect, and the tests take longer."""
    program = "import threading; threading.Thread(target=print, args=('loads',), name={}).start()"
    for name, printed in (("'warm'", ""), ("'another'", "loads\n")):
        ran = subprocess.run(
            [sys.executable, "-c", program.format(name)],
            env={**os.environ, **bench.processes.environment},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout == printed

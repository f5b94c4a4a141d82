"""Keeps a worker that a test starts from loading its encoders before a job asks for one.

Python runs this first in every process that has this folder in PYTHONPATH. Loading the packaged
sentence encoder takes seven CPU seconds, and few tests use it. A job that names an encoder still
gets it: the worker loads it then. A test of the early loading itself sets `HEADGRAFT_TEST_WARM`.
"""

import os
import threading

WARM = "HEADGRAFT_TEST_WARM"
THREAD = "warm"

run = threading.Thread.run


def run_unless_warm(self: threading.Thread) -> None:
    """Do what a thread does, except in the one that loads the encoders."""
    if self.name != THREAD:
        run(self)


if WARM not in os.environ:
    threading.Thread.run = run_unless_warm  # type: ignore[method-assign]

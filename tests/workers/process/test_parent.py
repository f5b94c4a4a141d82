"""A worker's parent, apart from the processes it starts: devices, and what a killed one left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headgraft.workers.process.parent import SCRATCH, devices, sweep_scratch


def test_named_devices_should_be_served_as_named() -> None:
    assert devices("cpu") == ["cpu"]
    assert devices("cuda:0, cuda:3,") == ["cuda:0", "cuda:3"]


@pytest.mark.parametrize(
    ("visible", "served"),
    [("", ["cpu"]), ("1", ["cuda:1"]), ("0,2", ["cuda:0", "cuda:2"])],
)
def test_visible_gpus_should_be_served_else_the_cpu(
    monkeypatch: pytest.MonkeyPatch, visible: str, served: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices(None) == served


def test_a_dead_parents_scratch_should_go_and_a_living_ones_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f"{SCRATCH}{dead.pid}-abc"
    mine = tmp_path / f"{SCRATCH}{os.getpid()}-abc"
    other = tmp_path / "headgraft-child-notes"
    for folder in (left, mine, other):
        (folder / "deep").mkdir(parents=True)
    sweep_scratch(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([mine, other])

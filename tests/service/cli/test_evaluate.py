"""`headgraft evaluate` as a person meets it: real files, and what it prints."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from headgraft.models.heads import checkpoint
from headgraft.models.heads.head import Head
from headgraft.models.heads.stored import StoredLayer
from tests import command

NAMES = ["a", "b", "x", "y"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a head that was extended as jobs extend them, and its pictures."""
    seen = {"fc.weight": torch.eye(4)[:2], "fc.bias": torch.zeros(2)}
    save_file(seen, tmp_path / "seen.safetensors")
    checkpoint.write_extended(
        tmp_path / "seen.safetensors",
        tmp_path / "-x.safetensors",
        layers=[StoredLayer("fc.weight", "fc.bias", 4)],
        unseen=Head(torch.eye(4)[2:], torch.zeros(2), ("x", "y")),
        class_names=NAMES,
    )
    labels = np.array([0, 1, 1, 2, 2, 2])
    np.savez(tmp_path / "p.npz", features=np.eye(4)[[0, 1, 2, 2, 2, 0]], labels=labels)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command.headgraft(folder, "evaluate", *arguments)


def test_the_accuracies_should_be_printed_in_per_cent(folder: Path) -> None:
    ran = run(folder, "--features", "p.npz", "--", "-x.safetensors")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "-x.safetensors: fc.weight, 4 features; 2 seen classes with 3 pictures, "
        "2 unseen classes with 3 pictures",
        "per-class means in per cent:",
        "  T1  100.0  pictures of unseen classes, among the unseen ones",
        "  u    66.7  pictures of unseen classes, among all",
        "  s    75.0  pictures of seen classes, among all",
        "  H    70.6  harmonic mean of u and s",
        "per picture, base-to-new: base 66.7, new 100.0, harmonic mean 80.0",
        "without a picture, so not counted: 1 unseen classes: y",
    ]


def test_a_program_should_get_json(folder: Path) -> None:
    ran = run(folder, "./-x.safetensors", "--features", "p.npz", "--json", "--seen-count", "1")
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document["s"] == 1.0
    assert document["unseen"] == {"classes": 3, "pictures": 5, "without_picture": ["y"]}
    assert document["tensors"]["weight"] == "fc.weight"
    assert document["notes"] == ["the head says that its last 2 classes were the injected ones"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["no.safetensors", "--features", "p.npz"], "no.safetensors"),
        (["./-x.safetensors", "--features", "no.npz"], "no.npz: No such file or directory"),
        (["./-x.safetensors", "--features", "p.csv"], "'.csv'; legal are .safetensors, .npz, .mat"),
        (["seen.safetensors", "--features", "p.npz"], "list them with --names FILE"),
        (["p.npz", "--features", "p.npz"], "p.npz is not a readable safetensors file"),
        (["./-x.safetensors", "--features", "p.npz", "--seen-count", "9"], "it can be 1 to 3"),
    ],
)
def test_what_is_wrong_should_be_one_line(
    folder: Path, arguments: list[str], complaint: str
) -> None:
    ran = run(folder, *arguments)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("headgraft: ")
    assert ran.stderr.count("\n") == 1
    assert complaint in ran.stderr

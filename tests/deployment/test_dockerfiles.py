"""The Dockerfiles: lint, and what they install."""

import re
from pathlib import Path

import pytest

from tests.deployment import compose, dockerfiles
from tests.deployment.dockerfiles import API, FILES, WORKER
from tests.deployment.installed import extra, required

HEAVY = {
    "torch",
    "torchvision",
    "sentence-transformers",
    "transformers",
    "open-clip-torch",
    "triton",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_hadolint_should_find_nothing(path: Path) -> None:
    assert dockerfiles.lint(path) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("WORKDIR /src", "WROKDIR /src", "unexpected"),
        ("-slim-bookworm AS build", " AS build\nFROM python:latest AS old", "DL3007"),
        ("WORKDIR /src", "WORKDIR src", "DL3000"),
        ("--no-cache-dir ", "", "DL3042"),
    ],
)
def test_a_planted_defect_should_be_seen(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    planted = tmp_path / "api.Dockerfile"
    text = API.read_text()
    assert old in text
    planted.write_text(text.replace(old, new, 1))
    assert complaint in "\n".join(dockerfiles.lint(planted))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_image_should_not_run_as_root(path: Path) -> None:
    assert dockerfiles.last(path, "USER").isdigit()
    assert int(dockerfiles.last(path, "USER")) > 0


def test_both_images_should_own_the_shared_volume_as_one_user() -> None:
    users = {dockerfiles.last(path, "USER") for path in FILES}
    assert len(users) == 1
    for path in FILES:
        assert f"--uid {users.copy().pop()} " in path.read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_installation_should_be_held_by_the_constraints(path: Path) -> None:
    runs = [one.rest for one in dockerfiles.read(path) if "pip install" in one.rest]
    assert runs
    assert all("--constraint constraints.txt" in run for run in runs)


def test_the_api_should_install_no_torch() -> None:
    brought = required(extra(API))
    assert "fastapi" in brought
    assert brought & HEAVY == set()


def test_the_worker_should_install_the_torch_of_the_constraints() -> None:
    installs = [one.rest for one in dockerfiles.read(WORKER) if "pip install" in one.rest]
    assert installs[0].endswith(" torch torchvision")
    brought = required(extra(WORKER))
    assert "torch" in brought
    assert "fastapi" not in brought


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_copied_should_exist_and_reach_the_builder(path: Path) -> None:
    ignored = path.with_name(f"{path.name}.dockerignore").read_text()
    allowed = set(re.findall(r"^!(.+)$", ignored, re.MULTILINE))
    assert {source for source, _ in dockerfiles.copied(path)} == allowed
    assert all((compose.ROOT / source).exists() for source in allowed)

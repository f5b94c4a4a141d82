"""The Dockerfiles: lint, and what they install."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deployment import compose, dockerfiles
from tests.deployment.dockerfiles import API, FILES, WORKER

HEAVY = {
    "torch",
    "torchvision",
    "sentence-transformers",
    "transformers",
    "open-clip-torch",
    "triton",
}


def required(lines: list[str]) -> set[str]:
    """Return all that a list of requirements brings, from what is installed here."""
    found: set[str] = set()
    waiting = [Requirement(line) for line in lines]
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name in found or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += [Requirement(line) for line in metadata.requires(name) or []]
    return found


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
    installs = [one.rest for one in dockerfiles.read(API) if "pip install" in one.rest]
    assert [run.split()[-1] for run in installs] == ["."]
    project = tomllib.loads((compose.ROOT / "pyproject.toml").read_text())["project"]
    brought = required(project["dependencies"])
    assert "fastapi" in brought
    assert brought & HEAVY == set()


def test_the_worker_should_install_the_torch_of_the_constraints() -> None:
    installs = [one.rest for one in dockerfiles.read(WORKER) if "pip install" in one.rest]
    assert installs[0].endswith(" torch torchvision")
    assert installs[-1].endswith(' ".[worker]"')
    project = tomllib.loads((compose.ROOT / "pyproject.toml").read_text())["project"]
    assert "torch" in required(project["optional-dependencies"]["worker"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_copied_should_exist_and_reach_the_builder(path: Path) -> None:
    ignored = path.with_name(f"{path.name}.dockerignore").read_text()
    allowed = set(re.findall(r"^!(.+)$", ignored, re.MULTILINE))
    assert {source for source, _ in dockerfiles.copied(path)} == allowed
    assert all((compose.ROOT / source).exists() for source in allowed)


def test_the_installed_package_should_hold_every_file_that_is_no_code(site: Path) -> None:
    for package in ("service", "models", "workers"):
        tree = compose.ROOT / package
        kept = [
            path.relative_to(compose.ROOT)
            for path in tree.rglob("*")
            if path.is_file() and path.suffix not in {".py", ".pyc"}
        ]
        assert [str(path) for path in kept if not (site / path).exists()] == []

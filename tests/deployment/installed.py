"""Builds the wheel, and Python environments that hold what an image installs and nothing else.

The packages of an environment are links to those of the tests' own: nothing is downloaded.
"""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deployment import dockerfiles
from tests.deployment.compose import ROOT

OFFLINE = ("--quiet", "--no-deps", "--no-index")


def build_wheel(folder: Path) -> Path:
    """Build the wheel into a folder from what the images copy, and return it."""
    source = folder / "src"
    for path, target in dockerfiles.copied(dockerfiles.API):
        place = source / target
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, place)
    options = [*OFFLINE, "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def install(image: Path, wheel: Path, folder: Path) -> Path:
    """Make an environment in a folder of what a Dockerfile installs, and return the folder."""
    venv.create(folder, symlinks=True)
    python = str(folder / "bin" / "python")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", *OFFLINE, str(wheel)],
        check=True,
    )
    for name in required(extra(image)):
        link(name, site(folder))
    return folder


def site(folder: Path) -> Path:
    """Return where an environment keeps its packages."""
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))


def extra(image: Path) -> str:
    """Return the extra that a Dockerfile installs the package with: `".[NAME]"`."""
    [last] = [one.rest for one in dockerfiles.read(image) if '".[' in one.rest]
    return last.partition('".[')[2].removesuffix(']"')


def required(extra: str) -> set[str]:
    """Return all packages that come with an extra of ours, as they are installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"][extra]]
    found: set[tuple[str, str]] = set()
    waiting = [Requirement(line) for line in lines]  # our own markers hold on Linux
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        brought = [Requirement(line) for line in metadata.requires(name) or []]
        for chosen in {(name, part) for part in ("", *one.extras)} - found:
            found.add(chosen)
            waiting += [
                other
                for other in brought
                if not other.marker or other.marker.evaluate({"extra": chosen[1]})
            ]
    return {name for name, _ in found}


def link(package: str, target: Path) -> None:
    """Link a package's folders and files, from where they are installed, into another place."""
    installed = metadata.distribution(package)
    for top in {file.parts[0] for file in installed.files or []} - {"..", "__pycache__"}:
        place = target / top
        if not place.exists():
            place.symlink_to(str(installed.locate_file(top)))


def copy_package(environment: Path, folder: Path) -> Path:
    """Copy our package alone out of an environment, for a test to break, and return the folder."""
    shutil.copytree(site(environment) / "headgraft", folder / "headgraft")
    return folder

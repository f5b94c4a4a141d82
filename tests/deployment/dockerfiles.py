"""Reads Dockerfiles and runs hadolint over them; it builds nothing."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.deployment.compose import ROOT

API = ROOT / "docker" / "api.Dockerfile"
WORKER = ROOT / "docker" / "worker.Dockerfile"
FILES = (API, WORKER)


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name in capitals, and the rest on one line."""

    name: str
    rest: str


def read(path: Path) -> list[Instruction]:
    """Return a Dockerfile's instructions in order, comments left out."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    pairs = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [Instruction(name.upper(), rest) for name, rest in pairs]


def last(path: Path, name: str) -> str:
    """Return what the last instruction of that name says."""
    return [one.rest for one in read(path) if one.name == name][-1]


def command(path: Path) -> list[str]:
    """Return the words of CMD; neither file has an ENTRYPOINT."""
    return _words(last(path, "CMD"))


def health_check(path: Path) -> list[str]:
    """Return the words of HEALTHCHECK's command."""
    return _words(last(path, "HEALTHCHECK").partition("CMD ")[2])


def _words(form: str) -> list[str]:
    return [str(word) for word in json.loads(form)]


def environment(path: Path) -> dict[str, str]:
    """Return the variables the image sets."""
    return dict(pair.split("=", 1) for pair in last(path, "ENV").split())


def copied(path: Path) -> list[tuple[str, str]]:
    """Return (source, target) of everything copied out of the repository."""
    words = [one.rest.split() for one in read(path) if one.name == "COPY"]
    return [(s, line[-1]) for line in words if "--from" not in line[0] for s in line[:-1]]


def lint(path: Path) -> list[str]:
    """Return hadolint's complaints, its infos among them."""
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint, "hadolint comes with the extra `test`"
    ran = subprocess.run(
        [hadolint, "--no-color", "--format", "json", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if not ran.stdout.startswith("["):
        return [ran.stdout + ran.stderr]
    return [
        f"{path.name}:{one['line']} {one['code']} {one['message']}"
        for one in json.loads(ran.stdout)
    ]

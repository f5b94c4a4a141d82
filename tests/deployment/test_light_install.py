"""`pip install headgraft` as a user has it: the client, into an environment of its own."""

import json
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from tests import checkpoints, user_project
from tests.deployment import installed
from tests.deployment.compose import ROOT
from tests.processes import Processes

PACKAGES_MAX = 20
MEGABYTES_MAX = 60
INSTALLERS = {"pip", "setuptools"}
OTHERS = {"fastapi", "numpy", "redis", "torch", "typer", "uvicorn"}
NEEDS_MORE = (
    "headgraft: the command line needs more than the client: pip install 'headgraft[service]'\n"
)
CALLS = """
import json, sys
from pathlib import Path
from headgraft import AsyncHeadgraft, Headgraft, HeadgraftError

url, checkpoint, request = sys.argv[1:]
with Headgraft(url) as service:
    queued = service.submit(Path(checkpoint), **json.loads(request))
    print(queued.status, service.cancel(queued.id).status)
    try:
        service.injection("inj_none")
    except HeadgraftError as error:
        print(error.status)
"""
TYPED = """
from headgraft import Headgraft, HeadgraftError

with Headgraft("http://127.0.0.1:8000") as service:
    names: list[str] = [one.name for one in service.methods()]
    try:
        service.cancel("inj_1")
    except HeadgraftError as error:
        status: int | None = error.status
"""


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel with what it asks for, as pip finds it, and return the environment."""
    folder = tmp_path_factory.mktemp("light") / "venv"
    venv.create(folder, symlinks=True)
    python = str(folder / "bin" / "python")
    options = ["--quiet", "--constraint", str(ROOT / "constraints.txt")]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", *options, str(wheel)],
        check=True,
    )
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project with packages `models`, `service` and `workers` of its own."""
    return user_project.write(tmp_path / "project")


@pytest.fixture(scope="module")
def served(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Start the API, of the tests' own environment."""
    running = Processes(tmp_path_factory.mktemp("served"), redis_url)
    try:
        running.start_api()
        yield running
    finally:
        running.stop()


def run(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_client_should_be_small(light: Path) -> None:
    site = installed.site(light)
    packages = {one.name.lower() for one in metadata.distributions(path=[str(site)])} - INSTALLERS
    files = [path for path in site.rglob("*") if path.is_file()]
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    print(f"{len(packages)} packages, {megabytes:.1f} MB")
    assert "headgraft" in packages
    assert packages & OTHERS == set()
    assert len(packages) < PACKAGES_MAX
    assert megabytes < MEGABYTES_MAX
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"under {PACKAGES_MAX} packages and {MEGABYTES_MAX} MB" in readme


def test_the_client_should_work_in_a_project_with_packages_named_like_ours(
    light: Path, project: Path, served: Processes
) -> None:
    script = project / "graft.py"
    script.write_text(CALLS)
    checkpoint = checkpoints.write(project / "net.safetensors")
    request = json.dumps(checkpoints.request())
    said = run(project, light / "bin" / "python", script, served.url, checkpoint, request)
    assert said.stdout == "queued cancelled\n404\n", said.stderr


@pytest.mark.parametrize("words", [["headgraft", "up"], ["python", "-m", "headgraft"]])
def test_the_command_should_say_what_it_lacks(light: Path, project: Path, words: list[str]) -> None:
    said = run(project, light / "bin" / words[0], *words[1:])
    assert said.returncode == 2
    assert said.stdout == ""
    assert said.stderr == NEEDS_MORE


def test_a_missing_module_of_our_own_should_be_shown(light: Path, tmp_path: Path) -> None:
    broken = installed.copy_package(light, tmp_path / "broken")
    (broken / "headgraft" / "service" / "cli" / "main.py").unlink()
    program = (
        f"import sys; sys.path.insert(0, {str(broken)!r}); import headgraft.__main__ as m; m.main()"
    )
    said = run(tmp_path, light / "bin" / "python", "-c", program)
    assert said.returncode == 1
    assert "No module named 'headgraft.service.cli.main'" in said.stderr


def test_a_users_types_should_be_checked_against_ours(light: Path, project: Path) -> None:
    wrong = {
        "argument.py": ('cancel("inj_1")', "cancel(1)", 'incompatible type "int"; expected "str"'),
        "result.py": ("list[str]", "list[int]", "incompatible type List[str]; expected List[int]"),
        "name.py": ("import Headgraft", "import Headgroft", 'has no attribute "Headgroft"'),
    }
    (project / "right.py").write_text(TYPED)
    for file, (old, new, _complaint) in wrong.items():
        assert old in TYPED
        (project / file).write_text(TYPED.replace(old, new, 1))
    options = ["--strict", "--config-file=", f"--python-executable={light / 'bin' / 'python'}"]
    said = run(project, sys.executable, "-m", "mypy", *options, "right.py", *wrong)
    assert "right.py" not in said.stdout
    for file, (_old, _new, complaint) in wrong.items():
        assert [one for one in said.stdout.splitlines() if file in one and complaint in one], (
            said.stdout + said.stderr
        )


def test_the_wheel_should_hold_every_file_once(light: Path) -> None:
    site = installed.site(light) / "headgraft"
    places = {"service/client": site, "service": site / "service"}
    places |= {name: site / name for name in ("models", "workers")}
    missing = []
    for package in ("models", "service", "workers"):
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                at = path.relative_to(ROOT)
                root = next(one for one in places if at.is_relative_to(one))
                if not (places[root] / at.relative_to(root)).is_file():
                    missing.append(str(at))
    assert missing == []
    assert not (site / "service" / "client").exists()

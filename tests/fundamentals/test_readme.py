"""What the README shows of the code: its generated parts, the path of a job, the dependencies."""

import ast
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from tests import readme
from tests.fundamentals import test_architecture as architecture

ROOT = Path(__file__).parents[2]
HOPS = 6
STEP = r"`([\w/]+\.py):([\w.]+)`"


def readme_is_current(root: Path) -> bool:
    """Tell whether the README's generated parts, the file tree first, are the code's."""
    text = (root / "README.md").read_text(encoding="utf-8")
    return readme.renewed(text, root) == text


def unexplained_dependencies(root: Path) -> list[str]:
    """Return the declared dependencies that the README's table does not name."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = [re.split(r"[<>=;\[ ]", line)[0] for group in groups for line in group]
    table = (root / "README.md").read_text(encoding="utf-8").split("## Why each dependency")[1]
    return [name for name in declared if name not in table and not name.startswith("types-")]


def path_of_one_job(root: Path) -> list[str]:
    """Return the numbered hops of the README, as written."""
    text = (root / "README.md").read_text(encoding="utf-8")
    section = text.partition("## The path of one job\n")[2].partition("\n## ")[0]
    return re.split(r"^\d\. ", section.partition("\n\n1. ")[2], flags=re.MULTILINE)


def path_problems(root: Path) -> list[str]:
    """Return which functions of the path of one job are not there, or do not call the next."""
    problems = []
    for hop in path_of_one_job(root):
        for chain in chains(hop):
            found = [function_at(root, *step) for step in chain]
            names = [":".join(step) for step in chain]
            problems += [
                f"there is no {name}" for name, node in zip(names, found, strict=True) if not node
            ]
            problems += [
                f"{names[number]} does not call {names[number + 1]}"
                for number, node in enumerate(found[:-1])
                if node and not calls(root, node, chain[number], chain[number + 1])
            ]
    return problems


def chains(hop: str) -> list[list[tuple[str, str]]]:
    """Return the chains of `file:function` that arrows tie together."""
    found = re.finditer(rf"{STEP}(?:\s+->\s+{STEP})*", hop)
    return [re.findall(STEP, chain[0]) for chain in found]


def function_at(root: Path, file: str, name: str) -> ast.AST | None:
    """Return the definition of a function, or of CLASS.METHOD, in a file; None without it."""
    path = root / file
    place: ast.AST | None = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else None
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for part in name.split("."):
        inside = getattr(place, "body", [])
        place = next((one for one in inside if isinstance(one, kinds) and one.name == part), None)
    return None if isinstance(place, ast.ClassDef) else place


def calls(root: Path, caller: ast.AST, at: tuple[str, str], to: tuple[str, str]) -> bool:
    """Tell whether a function calls another, or hands it on to be called.

    Of a method only the name can be told; a function of another file must be imported too.
    """
    (file, _), (target, name) = at, to
    last = name.rpartition(".")[2]
    used = {one.id for one in ast.walk(caller) if isinstance(one, ast.Name)}
    used |= {one.attr for one in ast.walk(caller) if isinstance(one, ast.Attribute)}
    if "." in name or file == target:
        return last in used
    known = architecture.modules(root)
    module = next((known_as for known_as, path in known.items() if path == Path(target)), "")
    tree = ast.parse((root / file).read_text(encoding="utf-8"))
    return last in used and module in architecture.imported_by(tree, known)


def test_the_readmes_generated_parts_should_be_current() -> None:
    assert readme_is_current(ROOT), "run python -m tests.readme"


def test_the_readme_should_say_why_each_dependency_is_there() -> None:
    assert unexplained_dependencies(ROOT) == []


def test_each_function_on_the_path_of_one_job_should_call_the_next() -> None:
    hops = path_of_one_job(ROOT)
    assert len(hops) == HOPS
    assert all(any(len(chain) > 1 for chain in chains(hop)) for hop in hops)
    assert path_problems(ROOT) == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in ("models", "service", "workers"):
        shutil.copytree(ROOT / package, tmp_path / package)
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new"),
    [("workers/store.py ", "workers/stores.py "), ("`HEADGRAFT_PORT`", "`HEADGRAFT_DOOR`")],
)
def test_a_wrong_file_tree_or_table_should_be_seen(copy: Path, old: str, new: str) -> None:
    written = copy / "README.md"
    assert readme_is_current(copy)
    written.write_text(written.read_text().replace(old, new))
    assert not readme_is_current(copy)


def test_a_file_that_the_tree_lacks_should_be_seen(copy: Path) -> None:
    (copy / "workers" / "planted.py").write_text('"""Planted."""\n')
    assert not readme_is_current(copy)


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (
            "workers/ledger/service_ledger.py",
            "def create(",
            "def make(",
            "there is no workers/ledger/service_ledger.py:ServiceLedger.create",
        ),
        (
            "workers/process/attempt.py",
            "ledger.succeed(",
            "ledger.end(",
            "workers/process/attempt.py:Attempt._answer does not call "
            "workers/ledger/ledger.py:Ledger.succeed",
        ),
        (
            "service/injections/routes.py",
            "headgraft.service.injections.create import",
            "headgraft.service.uploads.intake import",
            "service/injections/routes.py:create_injection does not call "
            "service/injections/create.py:create_injection_job",
        ),
    ],
)
def test_a_function_that_left_the_path_of_one_job_should_be_seen(
    copy: Path, file: str, old: str, new: str, problem: str
) -> None:
    path = copy / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert problem in path_problems(copy)


def test_a_dependency_without_a_reason_should_be_seen(copy: Path) -> None:
    project = copy / "pyproject.toml"
    project.write_text(project.read_text().replace('"typer>=0.16"', '"typer>=0.16", "leftpad>=1"'))
    assert unexplained_dependencies(copy) == ["leftpad"]

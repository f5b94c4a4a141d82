"""The rules of the tree: which way imports point, what may be in it, and what the README shows."""

import ast
import functools
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import readme

ROOT = Path(__file__).parents[2]
OURS = ("service", "workers", "models")
SERVICE_MAY_USE = {"jobs", "ledger", "store", "header", "logs"}
NO_TORCH = ("torch", "torchvision", "open_clip", "sentence_transformers")
# What is given a torch module may import torch then, in a function: it is installed where one is.
LATE_TORCH = {"service/client_grafting.py"}
FORBIDDEN_FILES = {"utils.py", "common.py", "helpers.py", "base.py"}
LINES_MAX = 300


def modules(root: Path, package: str) -> Iterator[Path]:
    return (root / package).rglob("*.py")


def imports(path: Path) -> frozenset[str]:
    """Return every module a file imports, anywhere in it; `from a import b` gives a.b."""
    return imports_in(path.read_text(encoding="utf-8"))


@functools.cache  # Most tests read the whole tree with one file changed.
def imports_in(text: str) -> frozenset[str]:
    return frozenset(imported_by(ast.parse(text)))


def imported_by(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import of {node.module}"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def early_imports(path: Path) -> set[str]:
    """Return what a file imports when it is imported itself: not in functions, not for types."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or is_for_types(node):
            assert isinstance(body, list)
            body[:] = [ast.Pass()]
    return imported_by(tree)


def is_for_types(node: ast.AST) -> bool:
    named = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id
    return named == "TYPE_CHECKING"


def complaint(package: str, imported: str) -> str | None:
    """Say why a package may not import a module, or None when it may."""
    top, _, rest = imported.partition(".")
    if package == "service" and top in NO_TORCH:
        return "the service runs where torch is not installed"
    if top not in OURS or top == package:
        return None
    if package == "models":
        return "models imports nothing of ours"
    if package == "workers" and top == "service":
        return "workers do not know the service"
    if package == "service" and (top == "models" or rest.split(".")[0] not in SERVICE_MAY_USE):
        return f"the service uses only workers.{{{', '.join(sorted(SERVICE_MAY_USE))}}}"
    return None


def import_problems(root: Path) -> list[str]:
    return [
        f"{where} imports {imported}: {reason}"
        for package in OURS
        for path in modules(root, package)
        for where in [path.relative_to(root).as_posix()]
        for imported in sorted(imports(path))
        if (reason := complaint(package, imported))
        and not (where in LATE_TORCH and is_late_torch(path, imported))
    ]


def is_late_torch(path: Path, imported: str) -> bool:
    return imported.split(".")[0] == "torch" and imported not in early_imports(path)


def file_problems(root: Path) -> list[str]:
    problems = []
    for package in OURS:
        for path in modules(root, package):
            text = path.read_text(encoding="utf-8")
            where = path.relative_to(root)
            if path.name in FORBIDDEN_FILES:
                problems.append(f"{where}: a file is named after its subject")
            if path.name == "__init__.py" and path.parent.name != "models" and text.strip():
                problems.append(f"{where}: not empty")
            if path.name != "__init__.py" and not text.startswith('"""'):
                problems.append(f"{where}: no module docstring")
            if text.count("\n") > LINES_MAX:
                problems.append(f"{where}: over {LINES_MAX} lines")
    return problems


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


def test_imports_should_point_one_way() -> None:
    assert import_problems(ROOT) == []


def test_files_should_have_one_subject_and_say_it() -> None:
    assert file_problems(ROOT) == []


def test_the_readmes_generated_parts_should_be_current() -> None:
    assert readme_is_current(ROOT), "run python -m tests.readme"


def test_the_readme_should_say_why_each_dependency_is_there() -> None:
    assert unexplained_dependencies(ROOT) == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in OURS:
        shutil.copytree(ROOT / package, tmp_path / package)
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("service", "import torch"),
        ("service", "from workers.run import run_job"),
        ("service", "from models.head import Head"),
        ("service", "from workers import keeper"),
        ("workers", "import service.app"),
        ("models", "from workers.ledger import Ledger"),
    ],
)
def test_a_planted_forbidden_import_should_be_seen(copy: Path, package: str, line: str) -> None:
    planted = copy / package / "planted.py"
    planted.write_text(f'"""Planted."""\n\n\ndef late() -> None:\n    {line}\n')
    assert [problem for problem in import_problems(copy) if "planted.py" in problem]


@pytest.mark.parametrize(
    "line", ["import torch", "from torch import nn", "if 1:\n    import torch"]
)
def test_torch_imported_early_should_be_seen_where_it_may_be_imported_late(
    copy: Path, line: str
) -> None:
    late = copy / "service" / "client_grafting.py"
    late.write_text(f"{late.read_text()}\n\n{line}\n")
    assert [problem for problem in import_problems(copy) if "client_grafting.py" in problem]


def test_what_is_imported_late_should_be_torch_alone(copy: Path) -> None:
    late = copy / "service" / "client_grafting.py"
    late.write_text(f"{late.read_text()}\n\ndef late() -> None:\n    import torchvision\n")
    assert [problem for problem in import_problems(copy) if "torchvision" in problem]


def test_a_planted_shared_module_should_be_no_complaint(copy: Path) -> None:
    (copy / "service" / "planted.py").write_text("from workers.ledger import Ledger\n")
    assert import_problems(copy) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [("workers/ledger.py ", "workers/ledgers.py"), ("`HEADGRAFT_PORT`", "`HEADGRAFT_DOOR`")],
)
def test_a_wrong_file_tree_or_table_should_be_seen(copy: Path, old: str, new: str) -> None:
    written = copy / "README.md"
    assert readme_is_current(copy)
    written.write_text(written.read_text().replace(old, new))
    assert not readme_is_current(copy)


def test_a_file_that_the_tree_lacks_should_be_seen(copy: Path) -> None:
    (copy / "workers" / "planted.py").write_text('"""Planted."""\n')
    assert not readme_is_current(copy)


def test_a_dependency_without_a_reason_should_be_seen(copy: Path) -> None:
    project = copy / "pyproject.toml"
    project.write_text(project.read_text().replace('"redis>=8"', '"redis>=8", "leftpad>=1"'))
    assert unexplained_dependencies(copy) == ["leftpad"]


def test_a_catch_all_file_should_be_seen(copy: Path) -> None:
    (copy / "models" / "utils.py").write_text("x = 1\n")
    assert file_problems(copy) == [
        "models/utils.py: a file is named after its subject",
        "models/utils.py: no module docstring",
    ]

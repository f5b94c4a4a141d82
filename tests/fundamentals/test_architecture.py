"""The rules of the tree: which way imports point, what may be in it, and what the README shows."""

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("service", "workers", "models")
SERVICE_MAY_USE = {"jobs", "ledger", "store", "header", "logs"}
NO_TORCH = ("torch", "torchvision", "safetensors", "open_clip", "sentence_transformers")
FORBIDDEN_FILES = {"utils.py", "common.py", "helpers.py", "base.py"}
LINES_MAX = 320


def modules(root: Path, package: str) -> Iterator[Path]:
    return (root / package).rglob("*.py")


def imports(path: Path) -> set[str]:
    """Return every module a file imports, anywhere in it; `from a import b` gives a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


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
        f"{path.relative_to(root)} imports {imported}: {reason}"
        for package in OURS
        for path in modules(root, package)
        for imported in sorted(imports(path))
        if (reason := complaint(package, imported))
    ]


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


def readme_tree(root: Path) -> set[str]:
    """Return the paths in the README's file tree: the block behind the line `## The files`."""
    text = (root / "README.md").read_text(encoding="utf-8")
    block = re.search(r"## The files\n.*?```\n(.*?)```", text, re.DOTALL)
    assert block, "README.md has no file tree behind '## The files'"
    return {line.split()[0] for line in block[1].splitlines() if line.strip()}


def tree_problems(root: Path) -> list[str]:
    there = {
        str(path.relative_to(root))
        for package in OURS
        for path in modules(root, package)
        if path.name != "__init__.py"
    }
    shown = {path for path in readme_tree(root) if path.endswith(".py")}
    return [f"README's tree lacks {path}" for path in sorted(there - shown)] + [
        f"README's tree shows {path}, which is not there" for path in sorted(shown - there)
    ]


def test_imports_should_point_one_way() -> None:
    assert import_problems(ROOT) == []


def test_files_should_have_one_subject_and_say_it() -> None:
    assert file_problems(ROOT) == []


def test_the_readmes_file_tree_should_be_the_tree() -> None:
    assert tree_problems(ROOT) == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in OURS:
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / "README.md", tmp_path)
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


def test_a_planted_shared_module_should_be_no_complaint(copy: Path) -> None:
    (copy / "service" / "planted.py").write_text("from workers.ledger import Ledger\n")
    assert import_problems(copy) == []


def test_a_wrong_file_tree_should_be_seen(copy: Path) -> None:
    readme = copy / "README.md"
    readme.write_text(readme.read_text().replace("workers/ledger.py", "workers/ledgers.py"))
    assert tree_problems(copy) == [
        "README's tree lacks workers/ledger.py",
        "README's tree shows workers/ledgers.py, which is not there",
    ]


def test_a_catch_all_file_should_be_seen(copy: Path) -> None:
    (copy / "models" / "utils.py").write_text("x = 1\n")
    assert file_problems(copy) == [
        "models/utils.py: a file is named after its subject",
        "models/utils.py: no module docstring",
    ]

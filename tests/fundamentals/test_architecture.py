"""The rules of the tree: which way imports point, how large folders and files may be."""

import ast
import functools
import shutil
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NO_TORCH = ("torch", "torchvision", "open_clip", "sentence_transformers")
# What is given a torch module may import torch then, in a function: it is installed where one is.
LATE_TORCH = ("headgraft.classifiers", "headgraft.class_names")
# A folder, or a file of a package's own, may import what stands in an earlier line, never what
# stands beside it. A method's folder is one of its own; no method imports another.
LEVELS = {
    "models": (
        "errors progress metrics settings",
        "heads",
        "features",
        "embeddings",
        "task",
        "method",
        "learners",
        "synthesis",
        "methods",
        "catalogue",
        "selection",
        "methods_json",
    ),
    "workers": (
        "formats names processes urls sentinel",
        "logs jobs environment",
        "config faults background",
        "store ledger",
        "torch_files report evaluate pictures ownership",
        "run",
        "process",
    ),
    "service": (
        "schemas local",
        "client config",
        "web",
        "uploads",
        "injections webhooks",
        "openapi_document",
        "app",
        "server demo",
        "cli",
    ),
}
# What each package, or one folder of it, may import of the others.
OTHERS = {
    "models": set[str](),
    "workers": {"models"},
    # All that runs without torch.
    "service": {
        f"workers/{name}"
        for name in (
            *"background environment formats jobs ledger logs names".split(),  # noqa: SIM905
            *"ownership processes store urls".split(),  # noqa: SIM905
        )
    },
    "service/cli": {"models/errors"},
    # Nothing that needs Redis: a user installs the client alone.
    "service/client": {"workers/formats", "workers/jobs", "workers/names", "workers/urls"},
}
OTHERS["service/cli"] |= OTHERS["service"]
# What a function may import besides: of a command, torch comes with it; of the client, with what
# it is given.
LATE = {
    "service/cli": {
        "models/embeddings",
        "workers/evaluate",
        "workers/pictures",
        "workers/torch_files",
    },
    "service/client": {"models/errors", "workers/pictures"},
}
FORBIDDEN_FILES = {"utils.py", "common.py", "helpers.py", "base.py"}
METHODS_ARE_TYPED_IN = ("models/catalogue", "models/method", "models/selection", "workers/run")
LINES_MAX = 300
FILES_MAX = 15


def modules(root: Path) -> dict[str, Path]:
    """Return the product's modules: import name -> file, relative to `root`."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    folders = project["tool"]["setuptools"]["package-dir"]
    found: dict[Path, str] = {}
    for package, folder in sorted(folders.items(), key=lambda item: len(item[1])):
        for path in (root / folder).rglob("*.py"):
            parts = (package, *path.relative_to(root / folder).with_suffix("").parts)
            # The longest folder comes last and wins: the client is `headgraft` itself.
            found[path.relative_to(root)] = ".".join(parts).removesuffix(".__init__")
    return {name: path for path, name in found.items()}


def room(path: Path) -> str:
    """Return the folder (`service/web`), or the package's own file (`models/task`), of a module."""
    parts = path.with_suffix("").parts
    depth = 3 if parts[:2] == ("models", "methods") and path.name != "__init__.py" else 2
    return "/".join(parts[:depth])


@functools.cache  # Most tests read the whole tree with one file changed.
def parsed(text: str) -> ast.Module:
    return ast.parse(text)


def imported_by(tree: ast.AST, known: dict[str, Path]) -> set[str]:
    """Return every module that is imported anywhere in the code, ours by their full names."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import of {node.module}"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                names.add(full if full in known else str(node.module))
    return names


def early_imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Return what a file imports when it is imported itself: not in functions, not for types."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or is_for_types(node):
            assert isinstance(body, list)
            body[:] = [ast.Pass()]
    return imported_by(tree, known)


def is_for_types(node: ast.AST) -> bool:
    named = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id
    return named == "TYPE_CHECKING"


def level(place: str) -> int:
    package, name = place.split("/")[:2]
    for number, line in enumerate(LEVELS[package]):
        if name in line.split():
            return number
    raise AssertionError(f"{place} stands in no line of LEVELS: add it where it belongs")


def complaint(importer: str, imported: str) -> str | None:
    """Say why a folder may not import from another, or None when it may."""
    if importer == imported or imported == "service/client" == importer.rpartition("/")[0]:
        return None
    package, other = importer.split("/")[0], imported.split("/")[0]
    if package == other:
        if level(imported) < level(importer):
            return None
        return f"{importer} may import what stands before it in LEVELS, {imported} does not"
    allowed = OTHERS.get(importer, OTHERS[package])
    if other in allowed or "/".join(imported.split("/")[:2]) in allowed:
        return None
    return f"{importer} may import of other packages: {', '.join(sorted(allowed)) or 'nothing'}"


def import_problems(root: Path) -> list[str]:
    known = modules(root)
    problems = []
    for name, path in sorted(known.items()):
        # The package's own door gives on what it is a door to; the command's name leads to the CLI.
        if name in ("headgraft", "headgraft.__main__") or path.name == "__init__.py":
            continue
        for imported in sorted(imported_by(parsed((root / path).read_text("utf-8")), known)):
            if imported.split(".")[0] in NO_TORCH and path.parts[0] == "service":
                early = {name.split(".")[0] for name in early_imports(root / path, known)}
                if name not in LATE_TORCH or imported.split(".")[0] != "torch" or "torch" in early:
                    problems.append(f"{path} imports {imported}: the service runs without torch")
            elif imported.split(".")[0] in ("models", "workers", "service"):
                problems.append(f"{path} imports {imported}: its name is headgraft.{imported}")
            elif imported in known and known[imported] != path:
                reason = complaint(room(path), room(known[imported]))
                may_be_late = room(known[imported]) in LATE.get(room(path), ())
                if reason and not (
                    may_be_late and imported not in early_imports(root / path, known)
                ):
                    problems.append(f"{path} imports {imported}: {reason}")
    return problems


def circle(root: Path) -> list[str]:
    """Return the modules of one import circle, functions' imports among them; [] without one."""
    known = modules(root)
    graph = {
        name: {
            imported
            for imported in imported_by(parsed((root / path).read_text("utf-8")), known)
            if imported in known and imported != "headgraft"
        }
        for name, path in known.items()
        if path.name != "__init__.py"
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def file_problems(root: Path) -> list[str]:
    problems = []
    for path in sorted(modules(root).values()):
        text = (root / path).read_text(encoding="utf-8")
        if path.name in FORBIDDEN_FILES:
            problems.append(f"{path}: a file is named after its subject")
        is_empty_kind = path.name == "__init__.py" and path.parent.name not in ("models", "client")
        if is_empty_kind and text.strip():
            problems.append(f"{path}: not empty")
        if path.name != "__init__.py" and not text.startswith('"""'):
            problems.append(f"{path}: no module docstring")
        if text.count("\n") > LINES_MAX:
            problems.append(f"{path}: over {LINES_MAX} lines")
    return problems


def folder_problems(root: Path) -> list[str]:
    return [
        f"{folder.relative_to(root)}: {len(files)} files, more than {FILES_MAX}"
        for folder in product_folders(root)
        if len(files := list(folder.glob("*.py"))) > FILES_MAX
    ]


def product_folders(root: Path) -> Iterator[Path]:
    tops = [root / name for name in ("models", "service", "workers")]
    return iter({path.parent: None for top in tops for path in sorted(top.rglob("*.py"))})


def class_problems(root: Path) -> list[str]:
    """Return the names that more than one class of the product has, with their files."""
    files: dict[str, list[str]] = {}
    for path in sorted(modules(root).values()):
        for node in ast.walk(parsed((root / path).read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                files.setdefault(node.name, []).append(str(path))
    return [f"{name}: {', '.join(paths)}" for name, paths in files.items() if len(paths) > 1]


def lookup_problems(root: Path) -> list[str]:
    """Return the files that handle methods and call getattr: a method's fields are typed."""
    return [
        str(path)
        for path in sorted(modules(root).values())
        if str(path).startswith(METHODS_ARE_TYPED_IN)
        and any(
            isinstance(node, ast.Name) and node.id == "getattr"
            for node in ast.walk(parsed((root / path).read_text("utf-8")))
        )
    ]


def package_problems(root: Path) -> list[str]:
    """Return the packages that pyproject.toml lists without a folder, and the reverse."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(project["tool"]["setuptools"]["packages"])
    there = {
        name if path.name == "__init__.py" else name.rpartition(".")[0]
        for name, path in modules(root).items()
    }
    return sorted(listed ^ there)


def test_imports_should_point_one_way() -> None:
    assert import_problems(ROOT) == []


def test_no_import_should_run_in_a_circle() -> None:
    assert circle(ROOT) == []


def test_files_should_have_one_subject_and_say_it() -> None:
    assert file_problems(ROOT) == []


def test_no_folder_should_hold_too_many_files() -> None:
    assert folder_problems(ROOT) == []


def test_no_two_classes_should_have_one_name() -> None:
    assert class_problems(ROOT) == []


def test_a_method_should_be_a_typed_value_and_not_be_asked_by_name() -> None:
    assert lookup_problems(ROOT) == []


def test_every_folder_should_be_a_package_that_is_installed() -> None:
    assert package_problems(ROOT) == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in ("models", "service", "workers"):
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("service/web", "import torch"),
        ("service/web", "from headgraft.workers.run.job import run_job"),
        ("service/web", "from headgraft.models.heads.head import Head"),
        ("service/web", "from headgraft.workers.process import lease"),
        ("service/web", "from headgraft.service.injections import rules"),
        ("service/web", "from headgraft.service.uploads.intake import check_quota"),
        ("service/client", "from headgraft.service import config"),
        ("service/client", "from headgraft.workers.ledger.ledger import Ledger"),
        ("workers/run", "import headgraft.service.app"),
        ("workers/report", "from headgraft.workers.run.job import run_job"),
        ("models/heads", "from headgraft.workers.ledger.ledger import Ledger"),
        ("models/heads", "from headgraft.models import task"),
        ("service/cli", "from headgraft.workers.run.job import run_job"),
        ("models/learners", "from headgraft.models.selection import solve"),
        ("models/methods", "from headgraft.models.methods import ridge"),
        ("models/methods", "from headgraft.models.methods.icis import autoencoders"),
        ("models/methods/wdae", "from headgraft.models.methods.icis import autoencoders"),
        ("models/selection", "from models.task import Task"),
    ],
)
def test_a_planted_forbidden_import_should_be_seen(copy: Path, folder: str, line: str) -> None:
    planted = copy / folder / "planted.py"
    planted.write_text(f'"""Planted."""\n\n\ndef late() -> None:\n    {line}\n')
    assert [problem for problem in import_problems(copy) if "planted.py" in problem]


def test_a_planted_circle_should_be_seen(copy: Path) -> None:
    one, other = copy / "service" / "web" / "one.py", copy / "service" / "web" / "other.py"
    one.write_text('"""One."""\n\nfrom headgraft.service.web import other\n')
    other.write_text('"""Other."""\n\n\ndef late():\n    from headgraft.service.web import one\n')
    assert {"headgraft.service.web.one", "headgraft.service.web.other"} <= set(circle(copy))


@pytest.mark.parametrize(
    "line", ["import torch", "from torch import nn", "if 1:\n    import torch"]
)
def test_torch_imported_early_should_be_seen_where_it_may_be_imported_late(
    copy: Path, line: str
) -> None:
    late = copy / "service" / "client" / "networks.py"
    late.write_text(f"{late.read_text()}\n\n{line}\n")
    assert [problem for problem in import_problems(copy) if "client/networks.py" in problem]


def test_what_a_command_may_import_late_should_be_seen_where_it_is_early(copy: Path) -> None:
    command = copy / "service" / "cli" / "features.py"
    line = "from headgraft.workers.pictures.features import write_features\n"
    command.write_text(command.read_text() + line)
    assert [problem for problem in import_problems(copy) if "cli/features.py" in problem]


def test_what_is_imported_late_should_be_torch_alone(copy: Path) -> None:
    late = copy / "service" / "client" / "networks.py"
    late.write_text(f"{late.read_text()}\n\ndef late() -> None:\n    import torchvision\n")
    assert [problem for problem in import_problems(copy) if "torchvision" in problem]


def test_a_planted_import_from_below_should_be_no_complaint(copy: Path) -> None:
    line = "from headgraft.workers.ledger.ledger import Ledger\n"
    (copy / "service" / "web" / "planted.py").write_text(line)
    assert import_problems(copy) == []


def test_a_catch_all_file_should_be_seen(copy: Path) -> None:
    (copy / "models" / "heads" / "utils.py").write_text("x = 1\n")
    assert file_problems(copy) == [
        "models/heads/utils.py: a file is named after its subject",
        "models/heads/utils.py: no module docstring",
    ]


def test_a_crowded_folder_should_be_seen(copy: Path) -> None:
    for number in range(FILES_MAX):
        (copy / "models" / "heads" / f"planted_{number}.py").write_text('"""Planted."""\n')
    assert [problem.split(":")[0] for problem in folder_problems(copy)] == ["models/heads"]


def test_a_folder_that_would_not_be_installed_should_be_seen(copy: Path) -> None:
    (copy / "models" / "planted").mkdir()
    (copy / "models" / "planted" / "__init__.py").touch()
    assert package_problems(copy) == ["headgraft.models.planted"]


def test_a_class_name_used_again_should_be_seen(copy: Path) -> None:
    (copy / "service" / "web" / "planted.py").write_text("class Head:\n    pass\n")
    assert class_problems(copy) == ["Head: models/heads/head.py, service/web/planted.py"]


def test_a_method_that_is_asked_by_name_should_be_seen(copy: Path) -> None:
    (copy / "models" / "selection" / "planted.py").write_text("getattr(module, 'HEAD')\n")
    assert lookup_problems(copy) == ["models/selection/planted.py"]

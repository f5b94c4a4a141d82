"""Writes the parts of README.md that the code holds too: `python -m tests.readme` renews them.

The file tree takes each module's own first line; the tables take the settings' own descriptions.
"""

import ast
import functools
import json
import re
from pathlib import Path

from pydantic_settings import BaseSettings

from headgraft.service.config import ServiceSettings
from headgraft.workers.config import WorkerSettings

ROOT = Path(__file__).parents[1]
PACKAGES = ("service", "workers", "models")


def tree(root: Path) -> str:
    """Return the file tree: a path and the first sentence of its docstring a line."""
    return "\n".join(
        f"{path.relative_to(root)!s:<32} {_first_sentence(path)}"
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
        if path.name != "__init__.py"
    )


def _first_sentence(path: Path) -> str:
    return _first_sentence_in(path.read_text(encoding="utf-8"))


@functools.cache  # Tests write the tree again and again, with one file changed.
def _first_sentence_in(text: str) -> str:
    docstring = ast.get_docstring(ast.parse(text)) or ""
    first = docstring.split("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[^.][A-Za-z)`])[.;] ", first + " ")[0].rstrip(". ")


def settings_table() -> str:
    """Return the environment variables of both processes as a Markdown table."""
    rows: dict[str, tuple[str, str, list[str]]] = {}
    for process, settings in (("API", ServiceSettings), ("worker", WorkerSettings)):
        for name, default, text in _variables(settings):
            rows.setdefault(name, (default, text, []))[2].append(process)
    lines = ["| variable | read by | default | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {', '.join(processes)} | {default} | {text} |"
        for name, (default, text, processes) in rows.items()
    ]
    return "\n".join(lines)


def _variables(settings: type[BaseSettings]) -> list[tuple[str, str, str]]:
    return [
        (
            f"HEADGRAFT_{name.upper()}",
            "required" if field.is_required() else _shown(field.default),
            field.description or "",
        )
        for name, field in settings.model_fields.items()
    ]


def _shown(default: object) -> str:
    text = str(default)
    return f"`{text}`" if default is not None and text else ""


def methods_table() -> str:
    """Return the installed methods as a Markdown table."""
    methods = json.loads((ROOT / "service" / "methods.json").read_text(encoding="utf-8"))
    lines = ["| method | what it does |", "|---|---|"]
    lines += [f"| `{name}` | {about['summary']} |" for name, about in methods.items()]
    return "\n".join(lines)


def renewed(text: str, root: Path = ROOT) -> str:
    """Return a README with every generated part as the code now has it."""
    text = _replaced(text, "The files", f"```\n{tree(root)}\n```")
    text = _replaced(text, "Settings", settings_table())
    return _replaced(text, "Methods", methods_table())


def _replaced(text: str, heading: str, content: str) -> str:
    start, end = f"<!-- {heading} -->\n", "<!-- end -->"
    before, mark, rest = text.partition(start)
    _old, close, after = rest.partition(end)
    if not mark or not close:
        raise ValueError(f"README.md has no part {heading!r}")
    return f"{before}{mark}{content}\n{close}{after}"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(renewed(readme.read_text(encoding="utf-8")), encoding="utf-8")

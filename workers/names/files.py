"""Reads a file that lists class names: text, JSON, YAML or CSV, as the field's tools write it."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headgraft.workers.names.class_list import EMPTY, ClassList, NamesError
from headgraft.workers.names.documents import read_document, read_literal
from headgraft.workers.names.lines import read_lines
from headgraft.workers.names.table import read_table

UTF_8_BOM, UTF_16_BOMS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
LINE_END = re.compile(r"\r\n|\r|\n")
YAML_NAMES = re.compile(r"^(names|classes|class_names)\s*:\s*([\[{].*)?$", re.MULTILINE)
TABLE_SUFFIXES = {".csv": ",;\t|", ".tsv": "\t"}
# In a text file a comma may stand between synonyms; these do not.
TEXT_DELIMITERS = "\t;"
LEGAL = "legal are text with a class a line, JSON, YAML and CSV, in UTF-8 (or UTF-16 with its mark)"


def read_names(path: Path) -> ClassList:
    """Read the class names that a file lists, in row order; NamesError says why there are none."""
    try:
        return parse_names(path.read_bytes(), path.suffix.lower())
    except NamesError as error:
        raise NamesError(f"{path}: {error}") from error


def parse_names(raw: bytes, suffix: str = "") -> ClassList:
    """Read the content of such a file; where it does not tell its format, its name's suffix does.

    Never by guess: NamesError for what could be read in two ways, or is a list by accident only.
    """
    text = _decoded(raw)
    start = text.lstrip()[:1]
    if start == "<":
        raise NamesError(f"it is a web page, no list of classes; {LEGAL}")
    if start in ("[", "{") or suffix == ".json":
        return read_document(read_literal(text))
    if suffix in (".yaml", ".yml") or YAML_NAMES.search(text):
        return _read_yaml(text)
    lines = [
        (number, line) for number, line in enumerate(LINE_END.split(text), 1) if line.strip(" \t")
    ]
    rows = _rows(text, lines, suffix)
    return read_table(rows) if rows else read_lines(lines)


def _decoded(raw: bytes) -> str:
    encoding = "utf-8-sig"
    if raw.startswith(UTF_16_BOMS) and len(raw) > len(UTF_16_BOMS[0]):
        encoding = "utf-16"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        kind = "UTF-8" if encoding == "utf-8-sig" else "UTF-16"
        raise NamesError(f"it is no {kind} text (line {line}); {LEGAL}") from error
    if not text.strip():
        raise NamesError(EMPTY)
    return text


def _rows(
    text: str, lines: list[tuple[int, str]], suffix: str
) -> list[tuple[int, list[str]]] | None:
    """Divide a table into its cells, each row with its line; None for what is no table."""
    if suffix in TABLE_SUFFIXES:
        delimiters = TABLE_SUFFIXES[suffix]
        shared = [one for one in delimiters if all(one in line for _, line in lines)]
        return list(_cells(text, (shared or [delimiters[0]])[0]))
    for delimiter in TEXT_DELIMITERS:
        if all(delimiter in line.strip(" \t") for _, line in lines):
            return [(number, line.strip().split(delimiter)) for number, line in lines]
    return None


def _cells(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise NamesError(f"the CSV breaks at line {reader.line_num}: {error}") from error


def _read_yaml(text: str) -> ClassList:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise NamesError("YAML is read where PyYAML is installed: pip install pyyaml") from error

    class Loader(yaml.BaseLoader):  # type: ignore[misc]  # the library has no types
        """Builds texts, lists and mappings, and no other thing; no key may stand twice."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [key.value for key, _ in node.value]
            twice = next((key for key in keys if keys.count(key) > 1), None)
            if twice is not None:
                raise NamesError(f"the key {twice!r:.60} stands twice in it")
            return super().construct_mapping(node, deep=deep)

    try:
        document = yaml.load(text, Loader=Loader)  # noqa: S506  # it builds no objects
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise NamesError(f"it is no YAML: it breaks{where}") from error
    except RecursionError as error:
        raise NamesError("it nests too deeply to be a list of names") from error
    names = read_document(document)
    counted = document.get("nc") if isinstance(document, dict) else None
    if isinstance(counted, str) and counted.isdigit() and int(counted) != len(names.names):
        raise NamesError(f"it has {len(names.names)} names, and nc says {counted}")
    return names

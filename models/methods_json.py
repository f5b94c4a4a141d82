"""Writes service/methods.json: what each method does, needs, takes, makes and has to set.

`python -m headgraft.models.methods_json` prints it, with `--write PATH` writes it.
"""

import json
import sys
from pathlib import Path
from typing import TypedDict

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import JsonSchemaValue

from headgraft.models import catalogue
from headgraft.models.selection import solve


class MethodEntry(TypedDict):
    """What the file says of a method; `settings` is the JSON schema of its settings."""

    summary: str
    needs: list[str]
    takes: list[str]
    head: str
    settings: JsonSchemaValue


class NoSettings(BaseModel):
    """The methods' own settings are chosen."""

    model_config = ConfigDict(extra="forbid")


def describe() -> dict[str, MethodEntry]:
    """Describe each method, and "auto": what it does, needs, takes, makes and its settings."""
    chosen: MethodEntry = {
        "summary": (solve.__doc__ or "").partition("\n")[0],
        "needs": [],
        "takes": [],
        "head": "rows",
        "settings": NoSettings.model_json_schema(),
    }
    return {solve.AUTO: chosen} | {name: _describe(name) for name in catalogue.names()}


def as_json() -> str:
    """Render the catalogue as the text of service/methods.json."""
    return json.dumps(describe(), indent=2, sort_keys=True) + "\n"


def _describe(name: str) -> MethodEntry:
    method = catalogue.method(name)
    return {
        "summary": method.summary,
        "needs": sorted(method.needs),
        "takes": sorted(method.takes),
        "head": method.head,
        "settings": method.settings.model_json_schema(),
    }


def main(arguments: list[str]) -> None:
    """Print the text of service/methods.json, or write it with `--write PATH`."""
    if arguments[:1] == ["--write"] and len(arguments) == 2:
        Path(arguments[1]).write_text(as_json(), encoding="utf-8")
    elif arguments:
        raise SystemExit("usage: python -m headgraft.models.methods_json [--write PATH]")
    else:
        sys.stdout.write(as_json())


if __name__ == "__main__":
    main(sys.argv[1:])

"""Reads the compose files as compose would: variables in, files merged, the result parsed.

It does not run anything; the parser is one of the compose specification, not of YAML only.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import compose_spec

ROOT = Path(__file__).parents[2]
NODE = ROOT / "docker-compose.yml"
REMOTE_ACCESS = ROOT / "docker" / "remote-access.yml"
REMOTE_WORKERS = ROOT / "docker" / "remote-workers.yml"
FILES = (NODE, REMOTE_ACCESS, REMOTE_WORKERS)
REPLACED = ("command", "entrypoint", "test")
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<rule>[-?])(?P<rest>[^${}]*))?\}")

Service = dict[str, Any]
Document = dict[str, Any]


class ComposeError(Exception):
    """The file is none that compose would run; the text says why."""


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Put variables in, innermost first; ComposeError for a required one that is missing."""

    def value(found: re.Match[str]) -> str:
        given = variables.get(found["name"], "")
        if not given and found["rule"] == "?":
            raise ComposeError(f"required variable {found['name']} is missing: {found['rest']}")
        return given or (found["rest"] or "")

    replaced = VARIABLE.sub(value, text)
    return replaced if replaced == text else interpolate(replaced, variables)


def parse(text: str) -> Document:
    """Parse a document by the compose specification; ComposeError names what it does not allow."""
    options = compose_spec.PyOptions()
    options.apply_merge = True
    try:
        parsed = options.from_yaml(text)
        parsed.validate_configs()
    except ValueError as error:
        raise ComposeError(str(error)) from error
    return parsed.to_dict()


def load(paths: Sequence[Path], variables: Mapping[str, str]) -> Document:
    """Return the files as one document, a later one over an earlier one; ComposeError if wrong."""
    merged: Document = {}
    for path in paths:
        text = interpolate(path.read_text(encoding="utf-8"), variables)
        merged = _over(merged, parse(text))
    _check_references(merged)
    return merged


def service(document: Document, name: str) -> Service:
    """Return a service by name."""
    return cast(Service, document["services"][name])


def _over(below: Any, above: Any, key: str = "") -> Any:
    """Merge as compose does: mappings by key, lists joined, a command replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {k: _over(below.get(k), above.get(k), k) for k in {**below, **above}}
    if isinstance(below, list) and isinstance(above, list) and key not in REPLACED:
        return [*below, *above]
    return below if above is None else above


def _check_references(document: Document) -> None:
    """ComposeError for a service or volume that is named and not defined."""
    services = document["services"]
    for name, one in services.items():
        for wanted in one.get("depends_on", {}):
            if wanted not in services:
                raise ComposeError(f"services.{name} depends on {wanted!r}, which is not defined")
        host = one.get("network_mode", "")
        if host.startswith("service:") and host.removeprefix("service:") not in services:
            raise ComposeError(f"services.{name}: {host!r} is not defined")
        for mount in mounts(one):
            named = not mount["source"].startswith(("/", "."))
            if named and mount["source"] not in document.get("volumes", {}):
                raise ComposeError(f"services.{name}: volume {mount['source']!r} is not defined")


def mounts(one: Service) -> list[dict[str, Any]]:
    """Return a service's volumes, the short form spelled out."""
    return [_spelled_out(volume) for volume in one.get("volumes", [])]


def _spelled_out(volume: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(volume, dict):
        return volume
    source, target, *mode = volume.split(":")
    return {"source": source, "target": target, "read_only": mode == ["ro"]}


def seconds(duration: str) -> float:
    """Return the seconds of a duration such as `2m` or `1m30s`."""
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(float(n) * units[unit] for n, unit in re.findall(r"([\d.]+)([hms])", duration))

"""Writes `service/api.md` from the API's own document: `python -m tests.api_page` renews it.

What it says of calls, fields and answers is the document's; the examples are run by a test.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.api_examples import EXAMPLES, REQUEST
from tests.service.web.owned import Operation, document, operations

PAGE = Path(__file__).parents[1] / "service" / "api.md"
REFERENCE = "#/components/schemas/"
# Said once, of every call.
EVERYWHERE = ("401", "422", "429", "503", "507")
Schema = Mapping[str, Any]

START = """# The HTTP API

Written by `python -m tests.api_page` from the document that a running service serves as
`/openapi.json` (and `/docs`, to try things out). A test runs every example against a real service
and worker, in the order of this page.

The examples expect the service in `HEADGRAFT_URL` (`http://127.0.0.1:8000`, unless `headgraft up`
was told otherwise), and beside them the files that they name: `net.safetensors`, a checkpoint of
twenty classes, `pictures.safetensors`, labelled features of them, `head.json` with `class_names`
alone, and `request.json`. `$HEAD`, `$FEATURES`, `$INJECTION` and the like are the ids that the
calls answered with which made them. A service with keys wants
`-H "Authorization: Bearer $HEADGRAFT_API_KEY"` in each.

```json
%s
```

Every error is `application/problem+json` (RFC 9457), a [ProblemDocument](#problemdocument) whose
`code` is for programs. Any call can answer with these:
"""


def page(described: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    calls = sorted(operations(described), key=_place)
    every = {
        status: answer["description"]
        for call in calls
        for status, answer in call.about["responses"].items()
        if status in EVERYWHERE
    }
    rows = [(status, every[status]) for status in EVERYWHERE]
    parts = [START % REQUEST, _table(("status", "when"), rows), "## Calls"]
    parts += [_call(call) for call in calls]
    parts.append("## Objects")
    schemas = described["components"]["schemas"]
    parts += [_object(name, schema) for name, schema in sorted(schemas.items())]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _place(call: Operation) -> int:
    """Return where a call stands in the session of examples; behind it, if nowhere."""
    order = [one.operation for one in EXAMPLES]
    return order.index(call.name) if call.name in order else len(order)


def _call(call: Operation) -> str:
    parts = [
        f"### {call.name}\n\n`{call.method.upper()} {call.path}`: {call.about['summary']}.",
        call.about.get("description", ""),
        _parameters(call.about.get("parameters", [])),
        _body(call.about.get("requestBody")),
        _answers(call.about["responses"]),
        *(f"```sh\n{one.lines}\n```" for one in EXAMPLES if one.operation == call.name),
    ]
    return "\n\n".join(part for part in parts if part)


def _parameters(parameters: list[Schema]) -> str:
    rows = [
        (
            f"`{one['name']}`",
            one["in"],
            _type(one["schema"]),
            "required" if one["required"] else _default(one["schema"]),
            one.get("description", ""),
        )
        for one in parameters
    ]
    return _table(("parameter", "in", "type", "default", "meaning"), rows)


def _body(body: Schema | None) -> str:
    if body is None:
        return ""
    lines = [f"Body: {body.get('description', '')}".strip()]
    for media_type, content in body["content"].items():
        schema = content["schema"]
        if "properties" not in schema:
            lines.append(f"- `{media_type}`: {_type(schema)}")
            continue
        lines += [
            f"- `{media_type}`, part `{name}`: {_type(part)}. {part.get('description', '')}".strip()
            for name, part in schema["properties"].items()
        ]
    return "\n".join(lines)


def _answers(responses: Schema) -> str:
    rows = [
        (status, _content(answer), answer["description"].removesuffix("Successful Response"))
        for status, answer in sorted(responses.items())
        if status not in EVERYWHERE
    ]
    return _table(("status", "answer", "when"), rows)


def _content(answer: Schema) -> str:
    shown = []
    for media_type, content in answer.get("content", {}).items():
        schema = content.get("schema", {})
        event = content.get("itemSchema", {}).get("properties", {}).get("data", {})
        shown.append(_type(schema) if "$ref" in schema else f"`{media_type}`")
        if "contentSchema" in event:
            shown[-1] += f" of {_type(event['contentSchema'])}"
    return ", ".join(shown)


def _object(name: str, schema: Schema) -> str:
    needed = schema.get("required", [])
    rows = [
        (
            f"`{field}`",
            _type(about),
            "required" if field in needed else _default(about),
            about.get("description", ""),
        )
        for field, about in schema.get("properties", {}).items()
    ]
    table = _table(("field", "type", "default", "meaning"), rows)
    return "\n\n".join(
        part for part in (f"### {name}", schema.get("description", ""), table) if part
    )


def _default(schema: Schema) -> str:
    return f"`{json.dumps(schema['default'])}`" if "default" in schema else ""


def _type(schema: Schema) -> str:
    """Say in words what a value may be."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REFERENCE)
        return f"[{name}](#{name.lower()})"
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(_type(one) for one in schema[union])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    return _plain(schema)


def _plain(schema: Schema) -> str:
    kind = str(schema.get("type", "any"))
    if "prefixItems" in schema:
        return f"[{', '.join(map(_type, schema['prefixItems']))}]"
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}{_bounds(schema, 'Items')}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}{_bounds(schema, 'Properties')}"
    if kind == "string":
        pattern = f", `{schema['pattern']}`" if "pattern" in schema else ""
        return f"{schema.get('format', 'string')}{_bounds(schema, 'Length')}{pattern}"
    return f"{kind}{_limits(schema)}"


def _bounds(schema: Schema, what: str) -> str:
    least, most = schema.get(f"min{what}"), schema.get(f"max{what}")
    if least is None and most is None:
        return ""
    return f" ({least or 0} to {most})" if most is not None else f" ({least} or more)"


def _limits(schema: Schema) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    shown = [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema]
    return f" ({', '.join(shown)})" if shown else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Draw a Markdown table of the columns that say anything; none without a row."""
    kept = [index for index in range(len(heads)) if any(row[index] for row in rows)]
    lines = [[line[index] for index in kept] for line in (heads, ["---"] * len(heads), *rows)]
    cells = ([cell.replace("\n", " ").replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) if rows else ""


if __name__ == "__main__":
    PAGE.write_text(page(document()), encoding="utf-8")

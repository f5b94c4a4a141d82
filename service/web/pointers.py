"""Turns what pydantic and JSON schema find into JSON pointers and plain sentences."""

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError as SchemaError
from pydantic import BaseModel, JsonValue, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import ErrorDetails, from_json

Model = TypeVar("Model", bound=BaseModel)
# What pydantic finds, in sentences of ours; in braces what its error says beside them.
SENTENCES = {
    "missing": "the field {field} is missing",
    "extra_forbidden": "there is no field {field}",
    "string_type": "it must be a text",
    "bool_type": "it must be true or false",
    "int_type": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "int_parsing": "it must be a whole number",
    "float_type": "it must be a number",
    "float_parsing": "it must be a number",
    "finite_number": "it must be a finite number",
    "list_type": "it must be a list",
    "dict_type": "it must be an object",
    "model_type": "it must be an object",
    "model_attributes_type": "it must be an object",
    "literal_error": "it must be one of {expected}",
    "enum": "it must be one of {expected}",
    "union_tag_invalid": "its kind must be one of {expected_tags}",
    "union_tag_not_found": "its kind is missing",
    "string_too_short": "it must have at least {min_length} characters",
    "string_too_long": "it must have at most {max_length} characters",
    "string_pattern_mismatch": "it must match {pattern}",
    "too_short": "it must have at least {min_length} entries, it has {actual_length}",
    "too_long": "it must have at most {max_length} entries, it has {actual_length}",
    "greater_than": "it must be more than {gt}",
    "greater_than_equal": "it must be at least {ge}",
    "less_than": "it must be less than {lt}",
    "less_than_equal": "it must be at most {le}",
}
WITHOUT_VALUE = ("missing", "extra_forbidden", "too_short", "too_long")
BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "minLength": "no shorter than",
    "maxLength": "no longer than",
    "minItems": "of no fewer items than",
    "maxItems": "of no more items than",
}


@dataclass(frozen=True)
class Problem:
    """One defect of a request: a JSON pointer to the value, and what is wrong with it."""

    pointer: str
    detail: str


def parse(model: type[Model], raw: bytes) -> Model | list[Problem]:
    """Read a JSON document as a model, or return its defects."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        defects = error.errors(include_url=False)
        if defects[0]["type"] == "json_invalid":
            reason = defects[0]["msg"].removeprefix("Invalid JSON: ")
            return [Problem("", f"the request is not JSON: {reason}")]
        document = from_json(raw)
        return [locate(one, document) for one in defects]


def locate(defect: ErrorDetails, document: object) -> Problem:
    """Point at one pydantic error; its location also holds union tags, which the document lacks.

    Without a document (query, path, header) the location's last part is the pointer.
    """
    place = tuple(defect["loc"])
    if document is None:
        return Problem(_pointer(place[-1:]), _sentence(defect))
    at: object = document
    parts: list[object] = []
    for position, part in enumerate(place):
        found, below = _descend(at, part)
        is_missing = defect["type"] == "missing" and position == len(place) - 1
        if found or is_missing:
            parts.append(part)
            at = below
    return Problem(_pointer(parts), _sentence(defect))


def _descend(at: object, part: object) -> tuple[bool, object]:
    if isinstance(at, dict) and part in at:
        return True, at[part]
    if isinstance(at, list) and isinstance(part, int) and part < len(at):
        return True, at[part]
    return False, at


def _pointer(parts: Any) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _sentence(defect: ErrorDetails) -> str:
    kind = str(defect["type"])
    field = f"{str(defect['loc'][-1])!r:.80}" if defect["loc"] else ""
    told = {"field": field, **defect.get("ctx", {})}
    if kind not in SENTENCES:
        return f"{str(defect['msg']).removeprefix('Value error, ')}; it is {defect['input']!r:.80}"
    sentence = SENTENCES[kind].format_map(told)
    return sentence if kind in WITHOUT_VALUE else f"{sentence}; it is {defect['input']!r:.80}"


def did_you_mean(word: str, legal: Iterable[str]) -> str:
    """Return a question for the likeliest of the legal words, "" where none is like it."""
    words = {one.casefold(): one for one in legal}
    near = difflib.get_close_matches(word[:100].casefold(), words, n=1)
    return f" (did you mean {words[near[0]]!r}?)" if near else ""


def setting_problems(
    method: str, settings: Mapping[str, JsonValue], schema: JsonSchemaValue
) -> list[Problem]:
    """Check a method's settings against its JSON schema; each problem names value and choices."""
    found = [
        Problem(_pointer(("settings", field)), f"setting {field!r} must not be NaN or infinite")
        for field, value in settings.items()
        if not _is_finite(value)
    ]
    for error in Draft202012Validator(schema).iter_errors(settings):
        found += _setting_problems(method, error, schema)
    return found


def _is_finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list) or all(map(_is_finite, value))


def _setting_problems(
    method: str, error: SchemaError, schema: JsonSchemaValue
) -> Iterator[Problem]:
    path = list(error.absolute_path)
    properties = schema.get("properties", {})
    given: Any = error.instance
    if not path and error.validator == "additionalProperties":
        legal = ", ".join(sorted(properties)) or "none"
        for field in sorted(set(given) - set(properties)):
            near = did_you_mean(field, properties)
            detail = f"method {method!r} has no setting {field!r:.80}{near}; it has: {legal}"
            yield Problem(_pointer(("settings", field)), detail)
        return
    name = ".".join(str(part) for part in path)
    wanted = _legal(properties.get(path[0], {}) if path else {}, schema) or error.message
    detail = f"setting {name!r} of method {method!r} cannot be {given!r:.80}; "
    yield Problem(_pointer(["settings", *path]), f"{detail}it must be {wanted}")


def _legal(field: JsonSchemaValue, schema: JsonSchemaValue) -> str:
    if "$ref" in field:
        name = str(field["$ref"]).removeprefix("#/$defs/")
        field = schema.get("$defs", {}).get(name, {})
    if "enum" in field:
        return "one of " + ", ".join(map(repr, field["enum"]))
    if "const" in field:
        return repr(field["const"])
    if "anyOf" in field:
        return " or ".join(filter(None, (_legal(one, schema) for one in field["anyOf"])))
    bounds = [f"{words} {field[key]}" for key, words in BOUNDS.items() if key in field]
    return " ".join(filter(None, [str(field.get("type", "")), " and ".join(bounds)]))

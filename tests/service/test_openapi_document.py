"""The OpenAPI document says of every value what it can be, and of every error which codes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from headgraft.service.schemas.problems import ProblemCode, ProblemDocument
from headgraft.service.web.openapi import SCHEMAS
from headgraft.workers.jobs.spec import FailureCode, JobError
from headgraft.workers.ledger import scripts
from tests.service.web.owned import document, operations

# Where a schema stands in a part of the document: as a value, in a list, in an object.
ALONE = ("schema", "contentSchema", "itemSchema", "items", "additionalProperties", "propertyNames")
LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
NAMED = ("properties", "patternProperties", "schemas")


def schemas(part: object, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every schema of the document, and where it stands."""
    if isinstance(part, list):
        for number, value in enumerate(part):
            yield from schemas(value, f"{place}/{number}")
    if not isinstance(part, dict):
        return
    for name, value in part.items():
        at = f"{place}/{name}"
        if name in ALONE:
            yield at, value
        elif name in LISTED:
            yield from ((f"{at}/{number}", one) for number, one in enumerate(value))
        elif name in NAMED:
            yield from ((f"{at}/{key}", one) for key, one in value.items())
        yield from schemas(value, at)


def test_no_schema_should_be_empty() -> None:
    described = document()
    assert [place for place, schema in schemas(described) if schema == {}] == []
    described["components"]["schemas"]["Report"]["properties"]["map"] = {}
    empty = [place for place, schema in schemas(described) if schema == {}]
    assert empty == ["/components/schemas/Report/properties/map"]


def test_every_reference_should_lead_to_a_schema() -> None:
    described = document()
    known = {SCHEMAS + name for name in described["components"]["schemas"]}
    found = {schema["$ref"] for _, schema in schemas(described) if "$ref" in str(schema)[:8]}
    assert found - known == set()
    assert SCHEMAS + "Report" in found


def test_reports_and_events_should_have_a_schema() -> None:
    answers = {
        call.name: call.about["responses"]["200"]["content"]
        for call in operations(document())
        if call.name in ("readReport", "followInjection")
    }
    report = answers["readReport"]["application/json"]["schema"]
    assert report == {"$ref": SCHEMAS + "Report"}
    event = answers["followInjection"]["text/event-stream"]["itemSchema"]["properties"]["data"]
    assert event["contentSchema"]["oneOf"] == [
        {"$ref": SCHEMAS + "StatusEvent"},
        {"$ref": SCHEMAS + "ProgressEvent"},
        {"$ref": SCHEMAS + "DamageEvent"},
    ]


def test_error_codes_should_be_those_of_the_list() -> None:
    parts = document()["components"]["schemas"]
    assert parts["ProblemDocument"]["properties"]["code"]["enum"] == [*get_args(ProblemCode)]
    assert parts["JobError"]["properties"]["code"]["enum"] == [*get_args(FailureCode)]
    assert set(get_args(FailureCode)) < set(get_args(ProblemCode))


# mypy refuses such a code where it is raised; what is stored or sent is checked again.
def test_a_code_that_is_not_in_the_list_should_be_refused() -> None:
    with pytest.raises(ValidationError, match="made_up"):
        JobError.model_validate({"code": "made_up", "message": "x"})
    sent = {"title": "x", "status": 409, "code": "made_up", "detail": "x", "request_id": "1"}
    with pytest.raises(ValidationError, match="made_up"):
        ProblemDocument.model_validate(sent)


def test_codes_of_the_scripts_should_be_in_the_list() -> None:
    texts = [path.read_text() for path in Path(scripts.__file__).with_name("lua").glob("*.lua")]
    written = {code for text in texts for code in re.findall(r"\bcode = '(\w+)'", text)}
    assert written == {"deadline", "worker_lost"}
    assert written < set(get_args(FailureCode))

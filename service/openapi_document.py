"""Makes the OpenAPI document whole: what bodies read by hand may hold, and which call goes on with
what another made.

It adds nothing that the service does not hold to: the tests send what the document allows, and what
it forbids.
"""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import JsonSchemaValue, models_json_schema

from headgraft.service.schemas.formats import HeadLabels
from headgraft.service.schemas.problems import ProblemDocument
from headgraft.service.schemas.requests import HeadRequest, InjectionRequest
from headgraft.service.web.context import Context
from headgraft.service.web.openapi import SCHEMAS
from headgraft.workers.jobs.report import Report

OPEN_TAG = "health"
# What a head that was uploaded before has said already.
OF_UPLOAD = ("class_names", "head")
ID = "$response.body#/id"
JSON_TYPES = ["null", "boolean", "number", "string", "array", "object"]
FIRST_ID = "$response.body#/data/0/id"


def install(app: FastAPI) -> None:
    """Make the application's document complete; it is built once, when first asked for."""

    def document() -> JsonSchemaValue:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # the framework's own way to extend it


def _build(app: FastAPI) -> JsonSchemaValue:
    context: Context = app.state.context
    built = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = built.setdefault("components", {})
    components["schemas"] = _schemas(sorted(context.methods)) | components["schemas"]
    # The framework says nothing of what may be anything.
    components["schemas"]["JsonValue"] = {"description": "Any JSON value.", "type": JSON_TYPES}
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    # Without keys configured no key is asked for: either is legal.
    built["security"] = [{"key": []}] if context.settings.keys else [{"key": []}, {}]
    for _, operation in _operations(built):
        if OPEN_TAG in operation.get("tags", ()):
            operation["security"] = []
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = _said(parameter["schema"])
    _link(built)
    return built


def _schemas(methods: list[str]) -> JsonSchemaValue:
    """Return the schemas of what is read by hand; an injection has one for each kind of body."""
    _, ours = models_json_schema(
        [
            (InjectionRequest, "validation"),
            (HeadRequest, "validation"),
            (ProblemDocument, "serialization"),
            (HeadLabels, "serialization"),
            (Report, "serialization"),
        ],
        ref_template=SCHEMAS + "{model}",
    )
    schemas: JsonSchemaValue = ours["$defs"]
    whole = schemas["InjectionRequest"]
    fields = whole["properties"]
    fields["method"]["enum"] = methods
    schemas["InjectionRequest"] = {**whole, "properties": _without(fields, "head_id")}
    kept = _without(fields, *OF_UPLOAD) | {"head_id": {"type": "string", "maxLength": 64}}
    schemas["KeptHeadInjectionRequest"] = {
        **whole,
        "title": "KeptHeadInjectionRequest",
        "description": "`POST /v1/injections` for a head that was uploaded before.",
        "properties": kept,
        "required": ["head_id", *whole["required"]],
    }
    return schemas


def _without(fields: JsonSchemaValue, *names: str) -> JsonSchemaValue:
    return {name: field for name, field in fields.items() if name not in names}


def _operations(built: JsonSchemaValue) -> Iterator[tuple[str, JsonSchemaValue]]:
    for path, ways in built["paths"].items():
        for operation in ways.values():
            yield path, operation


def _said(schema: JsonSchemaValue) -> JsonSchemaValue:
    """Return the parameter's schema without the null alternative.

    `required: false` already says that it is optional.
    """
    legal = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(legal) != 1:
        return schema
    return {**_without(schema, "anyOf"), **legal[0]}


def _link(built: JsonSchemaValue) -> None:
    """Add links from each call that creates or lists objects to those that take their ids."""
    for path, ways in built["paths"].items():
        links = {
            operation["operationId"]: operation
            for other, operation in _operations(built)
            if other.startswith(path + "/{")
        }
        for method, place in (("post", ID), ("get", FIRST_ID)):
            for status, response in ways.get(method, {}).get("responses", {}).items():
                if links and str(status).startswith("2"):
                    response["links"] = {name: _to(name, place) for name in links}


def _to(operation: str, place: str) -> JsonSchemaValue:
    return {"operationId": operation, "parameters": {"id": place}}

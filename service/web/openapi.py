"""What the OpenAPI document says beyond what the framework sees: bodies read by hand, errors."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaValue

from headgraft.service.schemas.formats import HeadLabels
from headgraft.service.schemas.problems import ProblemDocument
from headgraft.service.web.problems import MEDIA_TYPE
from headgraft.workers.jobs.events import DamageEvent, ProgressEvent, StatusEvent
from headgraft.workers.jobs.report import Report

SCHEMAS = "#/components/schemas/"
DESCRIPTIONS = {
    401: "No key, or an unknown one",
    403: "Over a limit of the key that waiting does not lift: delete something first; "
    "`violated-policies` names the limit",
    404: "Not there, or another owner's",
    409: "It has ended already, or a live injection needs it; the body shows which",
    413: "Larger than this service accepts",
    415: "Another content type or encoding than the documented ones",
    422: "Refused; `errors` points at what is wrong",
    429: "Over a limit of the key that time lifts; `violated-policies` names it, `Retry-After` the "
    "seconds",
    503: "Redis or the artifact store does not answer, or Redis takes no writes for now",
    507: "The artifact store is full: nothing was kept, and waiting does not help",
}
ALWAYS = (401, 429, 503, 507)


# Answers by status, as the framework takes them: parts of an OpenAPI document.
Responses = dict[int | str, dict[str, Any]]


def reference(model: type[BaseModel]) -> dict[str, str]:
    """Return the schema of a document that the components describe."""
    return {"$ref": SCHEMAS + model.__name__}


def errors(*statuses: int) -> Responses:
    """Document error answers, with those that every endpoint may give."""
    return {status: _error(DESCRIPTIONS[status]) for status in sorted({*statuses, *ALWAYS})}


def _error(description: str) -> JsonSchemaValue:
    content = {MEDIA_TYPE: {"schema": reference(ProblemDocument)}}
    return {"description": description, "content": content}


def _file(description: str, content: JsonSchemaValue) -> Responses:
    """Document a download: whole, in part, unchanged, or not to be had."""
    # A range of a document is no document.
    bytes_of = {media_type: {"schema": BINARY} for media_type in content}
    part = f"{description}: the range asked for. Of several ranges the whole file is sent"
    return {
        200: {"description": description, "content": content, "headers": FILE_HEADERS},
        206: {"description": part, "content": bytes_of, "headers": {**FILE_HEADERS, **PART}},
        304: {"description": "The file is the one of If-None-Match", "headers": FILE_HEADERS},
        409: _error(
            "Not succeeded: `not_ready`, or the failure's own code; a format that this head has "
            "not: `head_not_linear`, `head_is_linear`, `format_not_written`; `artifact_damaged`: "
            "the store no longer has the bytes that were written"
        ),
        412: _error("The file is none of those in If-Match"),
        416: _error("The file has no byte of the range"),
    }


TEXT = {"type": "string"}
BINARY = {"type": "string", "format": "binary"}
FILE_HEADERS = {
    "ETag": {"description": "The file's sha256, quoted", "schema": TEXT},
    "Repr-Digest": {"description": "The whole file's sha-256, RFC 9530", "schema": TEXT},
}
PART = {"Content-Range": {"description": "Which bytes, of how many", "schema": TEXT}}
HEAD_FILE = _file(
    "The checkpoint, or the head alone",
    {
        "application/octet-stream": {"schema": BINARY},
        "application/json": {"schema": reference(HeadLabels)},
    },
)
REPORT = _file(
    "The report, or with `Accept: text/html` or `format=html` its page",
    {"application/json": {"schema": reference(Report)}, "text/html": {"schema": TEXT}},
)


EVENTS: Responses = {
    200: {
        "content": {
            "text/event-stream": {
                "itemSchema": {
                    "required": ["id", "event", "data"],
                    "properties": {
                        "data": {
                            "contentMediaType": "application/json",
                            "contentSchema": {
                                "oneOf": [
                                    reference(StatusEvent),
                                    reference(ProgressEvent),
                                    reference(DamageEvent),
                                ]
                            },
                        }
                    },
                }
            }
        }
    }
}


def headers_alone(responses: Responses) -> Responses:
    """Document what HEAD answers where GET answers this: a range is defined for GET alone."""
    kept = {status: answer for status, answer in responses.items() if status not in (206, 416)}
    return {**kept, 200: {**kept[200], "content": {}}}


def _parts(request: str, required: list[str]) -> JsonSchemaValue:
    return {
        "schema": {
            "type": "object",
            "required": required,
            "additionalProperties": False,
            "properties": {
                "request": {"$ref": SCHEMAS + request},
                "checkpoint": {
                    "type": "string",
                    "format": "binary",
                    "description": "A safetensors file, or a torch file (.pt, .pth).",
                },
            },
        },
        "encoding": {
            "request": {"contentType": "application/json"},
            "checkpoint": {"contentType": "application/octet-stream"},
        },
    }


INJECTION_BODY = {
    "required": True,
    "description": "The parts may come in either order. With `head_id`, JSON alone.",
    "content": {
        "multipart/form-data": _parts("InjectionRequest", ["request", "checkpoint"]),
        "application/json": {"schema": {"$ref": SCHEMAS + "KeptHeadInjectionRequest"}},
    },
}
FEATURES_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["features"],
                "additionalProperties": False,
                "properties": {
                    "features": {
                        "type": "string",
                        "format": "binary",
                        "description": "A safetensors file of the tensor `features` (N, D), "
                        "floats, as the head's layer gets them, and of `labels` (N,), integers, "
                        "where they are known: 0 for the head's first class, -1 for a picture "
                        "whose class is not known. Without `labels` no class is known. Best of "
                        "pictures that the head was not trained on. `generic` = `true` in the "
                        "file's metadata says that the pictures without a label show anything at "
                        "all, not what the head is used for. For a method that looks at regions, "
                        "`features` are (N, D, R) or (N, D, H, W), F16 or F32, all with labels.",
                    }
                },
            },
            "encoding": {"features": {"contentType": "application/octet-stream"}},
        }
    },
}
HEAD_BODY = {
    "required": True,
    "description": "The parts may come in either order.",
    "content": {"multipart/form-data": _parts("HeadRequest", ["checkpoint"])},
}

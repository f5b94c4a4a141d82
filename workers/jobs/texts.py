"""The kinds of text and of number that a request holds, each with what it may not be."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from headgraft.workers.names.class_list import FORBIDDEN_PATTERN, control_defect

SHORT_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,63}$")
# How open_clip itself names a model and its weights.
OPEN_CLIP = re.compile(r"(?:hf-hub:)?([\w.-]+)[:/, ]+([\w.-]+)")


def _without_controls(value: str) -> str:
    if defect := control_defect(value):
        raise ValueError(f"the text {defect}")
    return value


# Text of the user's own; the schema says what `control_defect` says in words.
Text = Annotated[
    str, AfterValidator(_without_controls), Field(json_schema_extra={"pattern": FORBIDDEN_PATTERN})
]


def _short(value: str) -> str:
    if SHORT_NAME.fullmatch(value):
        return value
    model = OPEN_CLIP.fullmatch(value)
    pull = f"; `headgraft encoders pull {model[1]}:{model[2]}` gives it one" if model else ""
    raise ValueError(
        "an encoder goes by its short name, up to 64 characters a-z, 0-9, _ and -, as "
        f"GET /v1/encoders lists them{pull}"
    )


EncoderName = Annotated[
    str, AfterValidator(_short), Field(json_schema_extra={"pattern": SHORT_NAME.pattern})
]
TensorName = Annotated[str, Field(min_length=1, max_length=500)]
Template = Annotated[str, Field(pattern=r"^[^{}]*\{\}[^{}]*$", max_length=300)]
AttributeName = Annotated[Text, Field(min_length=1, max_length=200)]


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# To JSON, and its schemas, 5.0 is an integer.
Whole = Annotated[int, BeforeValidator(_whole)]

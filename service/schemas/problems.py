"""The body of every error (RFC 9457), with all codes that one can have."""

from typing import Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from headgraft.service.schemas.injections import InjectionResource
from headgraft.workers.jobs.events import is_none
from headgraft.workers.jobs.spec import FailureCode

# A failed injection's own code is the one of its downloads.
ProblemCode = Literal[
    FailureCode,
    "conflict",
    "forbidden_origin",
    "format_not_written",
    "head_is_linear",
    "head_not_linear",
    "http_error",
    "idempotency_key_in_flight",
    "idempotency_key_reused",
    "method_not_allowed",
    "not_found",
    "not_ready",
    "precondition_failed",
    "quota_exceeded",
    "range_not_satisfiable",
    "redis_full",
    "redis_unavailable",
    "store_full",
    "store_unavailable",
    "stored_bytes_exceeded",
    "too_large",
    "unauthorized",
    "unknown_host",
    "unsupported_media_type",
    "webhooks_exceeded",
]


class ProblemItem(BaseModel):
    """One defect: a JSON pointer into the request, and what is wrong there."""

    pointer: str
    detail: str


class ProblemMembers(TypedDict, total=False):
    """The members of a problem that only some have."""

    type: str
    violated_policies: list[str]
    injection: InjectionResource
    injections: list[str]


class ProblemDocument(BaseModel):
    """The body of every error; of the last three members it has those that tell more."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    type: str = "about:blank"
    title: str
    status: int
    code: ProblemCode
    detail: str
    errors: list[ProblemItem] = []
    request_id: str
    violated_policies: list[str] | None = Field(
        default=None,
        alias="violated-policies",
        exclude_if=is_none,
        description="The limits of the key that were met.",
    )
    injection: InjectionResource | None = Field(
        default=None, exclude_if=is_none, description="The one whose state forbids the call."
    )
    injections: list[str] | None = Field(
        default=None, exclude_if=is_none, description="The ids of those that need what was named."
    )

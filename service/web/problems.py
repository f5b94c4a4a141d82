"""Every error as RFC 9457 problem+json."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from headgraft.service.schemas.problems import (
    ProblemCode,
    ProblemDocument,
    ProblemItem,
    ProblemMembers,
)
from headgraft.service.web.pointers import Problem, locate
from headgraft.workers.formats.header import HeaderError
from headgraft.workers.ledger.quota import QuotaError
from headgraft.workers.ledger.scripts import (
    LedgerError,
    LedgerFullError,
    LedgerRefusedError,
    UnknownCursorError,
)
from headgraft.workers.store import Full, Missing, StoreError

MEDIA_TYPE = "application/problem+json"
LISTED_MAX = 50
RETRY_AFTER = {"Retry-After": "1"}
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
CODES: dict[int, ProblemCode] = {
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    500: "internal_error",
}
EXCEEDED: dict[str, ProblemCode] = {
    "stored-bytes": "stored_bytes_exceeded",
    "webhooks": "webhooks_exceeded",
}
log = structlog.get_logger("headgraft.problems")


class ProblemError(Exception):
    """An answer that is an error; `extra` adds members to its document."""

    def __init__(
        self,
        status: int,
        code: ProblemCode,
        detail: str,
        *,
        errors: Sequence[Problem] = (),
        headers: Mapping[str, str] | None = None,
        extra: ProblemMembers | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code: ProblemCode = code
        self.detail = detail
        self.errors = errors
        self.headers = headers
        self.extra: ProblemMembers = extra or {}


def not_found(what: str, name: str, pointer: str | None = None) -> ProblemError:
    """Say that an object is not there; the same whether it never was or is another's.

    Where a request's body named it, `pointer` says at which place.
    """
    detail = f"there {'are' if what.endswith('s') else 'is'} no {what} {name!r:.80}"
    errors = [] if pointer is None else [Problem(pointer, detail)]
    return ProblemError(404, "not_found", detail, errors=errors)


def invalid(errors: Sequence[Problem], code: ProblemCode = "invalid_request") -> ProblemError:
    """Refuse a request with 422 for the defects found in it."""
    first = errors[0].detail
    detail = first if len(errors) == 1 else f"{len(errors)} defects; the first: {first}"
    return ProblemError(422, code, detail, errors=errors)


def invalid_at(pointer: str, detail: str, code: ProblemCode = "invalid_request") -> ProblemError:
    """Refuse a request with 422 for one defect."""
    return invalid([Problem(pointer, detail)], code)


def invalid_checkpoint(detail: str) -> ProblemError:
    """Refuse an uploaded file."""
    return invalid_at("", detail, "invalid_checkpoint")


def too_large(what: str, limit: int) -> ProblemError:
    """Refuse what passes a limit in bytes."""
    return ProblemError(413, "too_large", f"{what} has more than the {limit} bytes accepted")


def over_quota(policy: str, detail: str, *, retry_after_seconds: int) -> ProblemError:
    """Refuse with 429 what passes a limit that time lifts, in the words of the IETF's draft."""
    return ProblemError(
        429,
        "quota_exceeded",
        detail,
        headers={"Retry-After": str(retry_after_seconds)},
        extra={"type": QUOTA_EXCEEDED, "violated_policies": [policy]},
    )


def must_delete_first(policy: str, detail: str) -> ProblemError:
    """Refuse with 403 what passes a limit that waiting does not lift.

    No Retry-After, and not a 429: clients would repeat the request for minutes in vain.
    """
    return ProblemError(
        403,
        EXCEEDED[policy],
        detail,
        extra={"type": QUOTA_EXCEEDED, "violated_policies": [policy]},
    )


def render(problem: ProblemError, request_id: str) -> JSONResponse:
    """Turn a problem into its response."""
    document = ProblemDocument(
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        code=problem.code,
        detail=problem.detail,
        errors=[
            ProblemItem(pointer=one.pointer, detail=one.detail)
            for one in problem.errors[:LISTED_MAX]
        ],
        request_id=request_id,
        **problem.extra,
    )
    return JSONResponse(
        document.model_dump(mode="json"),
        status_code=problem.status,
        headers=dict(problem.headers or {}),
        media_type=MEDIA_TYPE,
    )


def internal(request_id: str) -> JSONResponse:
    """Answer for a defect of ours: it says nothing but where to find it in the log."""
    detail = f"internal error; the log knows it as request {request_id}"
    return render(ProblemError(500, "internal_error", detail), request_id)


def translate(error: Exception) -> ProblemError | None:
    """Return what an expected exception means to the client; None for an unexpected one."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, HeaderError):
        return invalid_checkpoint(str(error))
    if isinstance(error, RequestValidationError):
        return invalid([locate(one, None) for one in error.errors()])
    if isinstance(error, UnknownCursorError):
        return ProblemError(404, "not_found", str(error), errors=[Problem("/after", str(error))])
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.BAD_REQUEST:
        # The framework's word for bytes that are no text; of text that is no JSON it says 422.
        return invalid_at("", "the request is not JSON")
    if isinstance(error, HTTPException):
        code = CODES.get(error.status_code, "http_error")
        return ProblemError(error.status_code, code, error.detail, headers=error.headers)
    if isinstance(error, QuotaError):
        return _of_quota(error)
    return _of_storage(error)


def _of_quota(error: QuotaError) -> ProblemError:
    if error.policy == "jobs":
        detail = f"{error.limit} injections are queued or running: the key allows no more at once"
        return over_quota(error.policy, detail, retry_after_seconds=10)
    detail = (
        f"the key may keep {error.limit} bytes in the store: {error.used} are used, and this would "
        f"add {error.coming}; delete injections, heads or features first"
    )
    return must_delete_first(error.policy, detail)


def _of_storage(error: Exception) -> ProblemError | None:
    if isinstance(error, LedgerFullError):
        detail = "Redis is full: nothing was kept; the operator has to give it more memory"
        return ProblemError(503, "redis_full", detail, headers=RETRY_AFTER)
    if isinstance(error, LedgerError):
        detail = "Redis does not answer; try again"
        if isinstance(error, LedgerRefusedError):
            detail = f"Redis refuses calls for now ({error.code}); try again"
        return ProblemError(503, "redis_unavailable", detail, headers=RETRY_AFTER)
    if isinstance(error, Missing):
        return ProblemError(404, "not_found", "the file is not there any more")
    if isinstance(error, Full):
        detail = (
            "the artifact store is full: nothing was kept; delete injections, heads or features, "
            "or ask the operator for room"
        )
        return ProblemError(507, "store_full", detail)
    if isinstance(error, StoreError):
        detail = "the artifact store does not answer; try again"
        return ProblemError(503, "store_unavailable", detail, headers=RETRY_AFTER)
    return None


def install(app: FastAPI) -> None:
    """Make the application answer every expected exception with a problem."""

    async def handle(request: Request, error: Exception) -> JSONResponse:
        problem = translate(error)
        assert problem is not None
        if isinstance(error, StoreError) and not isinstance(error, Missing):
            log.error("store_failed", error=str(error))
        if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
            problem.headers = {"Allow": allowed_methods(request)}
        return render(problem, request.state.request_id)

    expected = (HeaderError, RequestValidationError, HTTPException, UnknownCursorError)
    for kind in (ProblemError, LedgerError, QuotaError, StoreError, *expected):
        app.add_exception_handler(kind, handle)


def allowed_methods(request: Request) -> str:
    """Return the Allow header of a 405 response (RFC 9110, 15.5.6)."""
    methods: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.path and compile_path(route.path)[0].match(request.scope["path"]):
            methods |= route.methods or set()
    return ", ".join(sorted(methods))

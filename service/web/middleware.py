"""Middleware around every request: request id and log line, access control, early close.

Plain ASGI, because it must act before the framework touches the body.
"""

import re
import time
import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import structlog
from anyio import move_on_after
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headgraft.service.config import MIB, ServiceSettings
from headgraft.service.web import trace
from headgraft.service.web.auth import NO_KEY, Authenticator, Identity
from headgraft.service.web.key_limits import Rate, count
from headgraft.service.web.metrics import Metrics
from headgraft.service.web.problems import ProblemError, internal, render, too_large, translate
from headgraft.workers.ledger.scripts import AsyncRedisScripts, LedgerError

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
STATUS_CLIENT_GONE = 499
log = structlog.get_logger("headgraft.access")
# A body this short is cheaper to read than a new connection.
SHORT_BYTES = 256 * 1024
LINGER_SECONDS = 2.0


class RequestLogMiddleware:
    """Gives each request an id, turns unexpected errors into a 500, writes one log line."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        span = trace.enter(Headers(scope=scope).getlist("traceparent"))
        scope.setdefault("state", {}).update(request_id=request_id, trace=span)
        answer = _Answer(send, request_id)
        start = time.monotonic()
        context = {"request_id": request_id, "trace_id": span.trace_id, "span_id": span.span_id}
        with structlog.contextvars.bound_contextvars(**context):
            try:
                await self._app(scope, receive, answer.send)
            except ClientDisconnect:
                answer.status = STATUS_CLIENT_GONE
            except Exception:
                log.exception("request_failed", path=scope["path"])
                if answer.status:
                    raise
                await internal(request_id)(scope, receive, answer.send)
            finally:
                self._note(scope, answer.status, time.monotonic() - start)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        template = getattr(scope.get("route"), "path", "unmatched")
        identity: Identity | None = scope["state"].get("identity")
        self._metrics.note_request(scope["method"], template, status, seconds)
        log.info(
            "request",
            method=scope["method"],
            path=scope["path"],
            owner=identity.owner if identity else None,
            key=identity.key if identity else None,
            status=status,
            seconds=round(seconds, 6),
        )


class _Answer:
    """Passes a response on, with its request id, and remembers its status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-Id"] = self._request_id
        await self._send(message)


class AccessMiddleware:
    """Refuses by headers alone, and stops a body that grows past its limit."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings, scripts: AsyncRedisScripts) -> None:
        self._app = app
        self._settings = settings
        self._scripts = scripts
        self._authenticator = Authenticator(settings, scripts)
        self._names = frozenset({*LOCAL_NAMES, settings.host.strip("[]").lower()})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        rate = None
        try:
            identity = await self._admit(headers, scope["path"])
            scope["state"]["identity"] = identity
            rate = await self._count(identity, scope["path"])
            if rate and not rate.is_allowed:
                raise rate.refusal()
            limit = self._limit(headers, identity)
            _check_body(headers, limit)
        except (ProblemError, LedgerError) as error:
            problem = translate(error)
            assert problem is not None
            answer = render(problem, scope["state"]["request_id"])
            await answer(scope, receive, _with_rate(send, rate))
            return
        await self._app(scope, _counted(receive, limit), _with_rate(send, rate))

    async def _admit(self, headers: Headers, path: str) -> Identity | None:
        is_free = path in OPEN_PATHS
        authorization = headers.get("authorization", "")
        identity = await self._authenticator.identify(authorization, is_free=is_free)
        if identity and identity.key == NO_KEY:
            _check_host(headers.get("host", ""), self._names)
            _check_origin(headers.getlist("origin"), headers.get("host", ""))
        if identity is None and not is_free:
            detail = "this service needs a key: Authorization: Bearer KEY"
            challenge = {"WWW-Authenticate": "Bearer"}
            raise ProblemError(401, "unauthorized", detail, headers=challenge)
        return identity

    async def _count(self, identity: Identity | None, path: str) -> Rate | None:
        limit = identity.limits.requests_per_minute if identity else None
        if identity is None or limit is None or path in OPEN_PATHS:
            return None
        return await count(self._scripts, identity.key, limit)

    def _limit(self, headers: Headers, identity: Identity | None) -> int:
        document = self._settings.request_bytes_max
        if identity and headers.get("content-type", "").lower().startswith("multipart/form-data"):
            # A mebibyte for the boundaries and the parts' own headers.
            return (identity.limits.upload_bytes or 0) + document + MIB
        return document


def _with_rate(send: Send, rate: Rate | None) -> Send:
    if rate is None:
        return send
    fields = rate.headers

    async def send_with_rate(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(fields)
        await send(message)

    return send_with_rate


def _check_host(host: str, names: Iterable[str]) -> None:
    if _hostname(f"//{host}") not in names:
        detail = f"Host {host!r:.80} is not served here; legal are {', '.join(sorted(names))}"
        raise ProblemError(421, "unknown_host", detail)


# A page of another site must not be able to use a service that asks for no key, not by a form.
def _check_origin(origins: list[str], host: str) -> None:
    for origin in origins:
        if origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
            detail = f"Origin {origin!r:.80} is not this service's own, {host!r:.80}"
            raise ProblemError(403, "forbidden_origin", detail)


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _check_body(headers: Headers, limit: int) -> None:
    encoding = headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        detail = f"Content-Encoding {encoding!r:.80} is not accepted; send the body as it is"
        raise ProblemError(415, "unsupported_media_type", detail)
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        raise too_large("the body", limit)


def _counted(receive: Receive, limit: int) -> Receive:
    count = 0

    async def counted() -> Any:
        nonlocal count
        message = await receive()
        if message["type"] == "http.request":
            count += len(message.get("body", b""))
            if count > limit:
                raise too_large("the body", limit)
        return message

    return counted


class CloseOnEarlyResponse:
    """Closes the connection when a response is sent before the request body was read.

    uvicorn would otherwise read and discard the rest of the body. Must be the outermost.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_short(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        await self._app(scope, exchange.receive, exchange.send)
        await exchange.end()


def _is_short(headers: Headers) -> bool:
    length = headers.get("content-length", "0")
    is_declared = "transfer-encoding" not in headers and length.isdecimal()
    return is_declared and int(length) <= SHORT_BYTES


class _Exchange:
    """One request with a long body, and its answer."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._has_body_ended = False
        self._is_closing = False
        self._last: Message | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        self._has_body_ended = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._has_body_ended:
            self._is_closing = True
            MutableHeaders(scope=message)["Connection"] = "close"
        elif self._is_closing and not message.get("more_body", False):
            self._last = {**message, "body": b""}
            message = {**message, "more_body": True}
        await self._send(message)

    async def end(self) -> None:
        """Close, after a moment: a client that is still sending may miss its answer otherwise."""
        if self._last is None:
            return
        with move_on_after(LINGER_SECONDS):
            await self._discard(SHORT_BYTES)
        await self._send(self._last)

    async def _discard(self, count: int) -> None:
        while count > 0 and not self._has_body_ended:
            message = await self.receive()
            count -= len(message.get("body", b""))

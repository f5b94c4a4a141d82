"""Idempotency-Key: a repeated POST creates one object and gets the response of the first.

A request reserves its key before its body is read, and the script that creates the object settles
the key in the same step. After a crash the key is free again within a minute, or settled.
"""

import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Literal

import structlog
from anyio import CancelScope
from fastapi import Depends, Header, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from headgraft.service.web.context import InContext, Owner
from headgraft.service.web.problems import ProblemError, invalid_at
from headgraft.workers.ledger.quota import UNRESERVED, Reservation
from headgraft.workers.ledger.scripts import AsyncRedisScripts, Key, LedgerError, Script

RESERVED_SECONDS = 60.0
EXTEND_SECONDS = 1.0
REPLAYED = {"Idempotent-Replayed": "true"}
log = structlog.get_logger("headgraft.idempotency")

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,255}$",
        description="Any string of yours: a repeat with it is answered as the first request was.",
    ),
]


class Reserve(Script[Literal["ours", "taken", "made"]], name="reserve"):
    """Reserve a key for one request, or say what became of it."""

    entry: Key
    nonce: str
    ttl_ms: int = int(RESERVED_SECONDS * 1000)


class ExtendReservation(Script[str], name="extend_reservation"):
    """Hold a reserved key for longer; with 0, free it."""

    entry: Key
    nonce: str
    ttl_ms: int = int(RESERVED_SECONDS * 1000)


class SaveResponse(Script[str], name="save_response"):
    """Store the response under the key that has created the object `id`."""

    entry: Key
    id: str
    response: str


@dataclass(frozen=True)
class StoredResponse:
    """Of the first request with a key: what it sent, what it created, and its response."""

    fingerprint: str
    id: str
    response: str | None

    def check(self, sent: str) -> None:
        """Return when the same was sent; a 422 problem for anything else."""
        if sent != self.fingerprint:
            detail = "another request had this Idempotency-Key: use a new one for a new request"
            raise invalid_at("/idempotency-key", detail, "idempotency_key_reused")

    def replay(self, status: int, headers: Mapping[str, str]) -> Response | None:
        """Return the first response once more; None where it was never stored."""
        if self.response is None:
            return None
        return JSONResponse(json.loads(self.response), status, {**headers, **REPLAYED})


class IdempotencyLock:
    """A request's hold on its key; without a key, all methods do nothing."""

    def __init__(self, scripts: AsyncRedisScripts, entry: Key | None) -> None:
        self._scripts = scripts
        self._entry = entry
        self._nonce = secrets.token_hex(8)
        self._extended = time.monotonic()
        self.earlier: StoredResponse | None = None

    async def take(self) -> None:
        """Reserve the key, or read the earlier request; 409 while that one is in flight."""
        if self._entry is None:
            return
        state = await self._scripts.run(Reserve(self._entry, self._nonce))
        if state == "ours":
            return
        fields = await self._scripts.command("hgetall", self._entry) if state == "made" else {}
        if not fields:
            raise in_flight()
        self.earlier = StoredResponse(fields["fingerprint"], fields["id"], fields.get("answer"))

    async def stream(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the body as it comes; while it does, the key is held."""
        async for chunk in request.stream():
            if self._entry and time.monotonic() - self._extended >= EXTEND_SECONDS:
                self._extended = time.monotonic()
                await self._scripts.run(ExtendReservation(self._entry, self._nonce))
            yield chunk

    def reservation(self, fingerprint: str) -> Reservation:
        """Return what the ledger needs to create something under this key."""
        if self._entry is None:
            return UNRESERVED
        return Reservation(self._nonce, fingerprint, self._entry)

    async def save_response(self, id: str, response: BaseModel) -> None:  # as the API calls it
        """Store the response; if that fails, a repeat is answered from the current state."""
        if self._entry is None:
            return
        try:
            text = json.dumps(jsonable_encoder(response))
            await self._scripts.run(SaveResponse(self._entry, id, text))
        except LedgerError as error:
            log.warning("answer_not_noted", id=id, error=str(error))

    async def free(self) -> None:
        """Let others have the key, unless something was created under it."""
        if self._entry is None or self.earlier:
            return
        # A client that goes away cancels this request; its key must not stay reserved for that.
        with CancelScope(shield=True):
            try:
                await self._scripts.run(ExtendReservation(self._entry, self._nonce, 0))
            except LedgerError as error:
                log.warning("key_not_given_back", error=str(error))


async def idempotency_lock(
    request: Request, context: InContext, owner: Owner, key: IdempotencyKey = None
) -> AsyncIterator[IdempotencyLock]:
    """Reserve the request's key before its body is read; free it where the request fails."""
    name = digest(owner, _route(request), key) if key else None
    lock = IdempotencyLock(context.ledger, context.ledger.key("answer", name) if name else None)
    await lock.take()
    try:
        yield lock
    except BaseException:
        await lock.free()
        raise


InLock = Annotated[IdempotencyLock, Depends(idempotency_lock)]


def in_flight() -> ProblemError:
    """Refuse a repeat while the first request has not been answered."""
    detail = "a request with this Idempotency-Key is being answered: try again for its answer"
    headers = {"Retry-After": "1"}
    return ProblemError(409, "idempotency_key_in_flight", detail, headers=headers)


def fingerprint(asked: BaseModel | None, *files: str) -> str:
    """Hash what a request says, not how it is written, and the sha256 of its file."""
    document = asked.model_dump(mode="json") if asked else None
    return digest(canonical(document), *files)


def canonical(document: Any) -> str:
    """Write a document in the one way that equal documents share."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(*parts: str) -> str:
    """Hash strings so that no two lists of them run together."""
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _route(request: Request) -> str:
    return str(request.scope["route"].path)

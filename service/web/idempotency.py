"""Idempotency-Key: a POST that is repeated makes one thing, and is answered as the first was.

A request takes its key before its body is read, and what it makes settles the key in the same step.
A crash leaves a key that is either free again after a minute or made. It knows no endpoint.
"""

import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

import structlog
from anyio import CancelScope, to_thread
from fastapi import Depends, Header, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from headgraft.service.web.context import InContext, Owner
from headgraft.service.web.problems import ProblemError, invalid_at
from headgraft.workers.jobs.quota import UNRESERVED, Reservation
from headgraft.workers.ledger.ledger import Ledger
from headgraft.workers.ledger.scripts import LedgerError

PATIENCE_SECONDS = 60.0
RENEW_SECONDS = 1.0
REPLAYED = {"Idempotent-Replayed": "true"}
log = structlog.get_logger("headgraft.idempotency")

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,255}$",
        description="Any string of yours: a repeat with it is answered as the first request was.",
    ),
]


@dataclass(frozen=True)
class Earlier:
    """The request that had the key first: what it sent, what it made, what it was told."""

    fingerprint: str
    id: str
    answer: str | None

    def check(self, sent: str) -> None:
        """Return when the same was sent; a 422 problem for anything else."""
        if sent != self.fingerprint:
            detail = "another request had this Idempotency-Key: use a new one for a new request"
            raise invalid_at("/idempotency-key", detail, "idempotency_key_reused")

    def replay(self, status: int, headers: Mapping[str, str]) -> Response | None:
        """Return the first answer once more; None where it was never written down."""
        if self.answer is None:
            return None
        return JSONResponse(json.loads(self.answer), status, {**headers, **REPLAYED})


class Claim:
    """A request's hold on its key; without a key, all of it does nothing."""

    def __init__(self, ledger: Ledger, entry: str) -> None:
        self._ledger = ledger
        self._entry = entry
        self._nonce = secrets.token_hex(8) if entry else ""
        self._renewed = time.monotonic()
        self.earlier: Earlier | None = None

    async def take(self) -> None:
        """Take the key, or learn of the earlier request; 409 while that one is in flight."""
        if not self._entry:
            return
        state = await self._run("reserve", PATIENCE_SECONDS)
        if state == "taken":
            raise in_flight()
        if state == "made":
            told = await to_thread.run_sync(self._ledger.ask, "hgetall", self._entry)
            if not told:
                raise in_flight()
            self.earlier = Earlier(told["fingerprint"], told["id"], told.get("answer"))

    async def stream(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the body as it comes; while it does, the key is held."""
        async for chunk in request.stream():
            if self._entry and time.monotonic() - self._renewed >= RENEW_SECONDS:
                self._renewed = time.monotonic()
                await self._run("reserved", PATIENCE_SECONDS)
            yield chunk

    def settling(self, fingerprint: str) -> Reservation:
        """Return what the ledger needs to make something under this key."""
        return Reservation(self._entry, self._nonce, fingerprint) if self._entry else UNRESERVED

    async def note(self, id: str, answer: BaseModel) -> None:
        """Write down what was answered; where that fails, a repeat hears how things are then."""
        if not self._entry:
            return
        try:
            text = json.dumps(jsonable_encoder(answer))
            await to_thread.run_sync(self._ledger.run, "answer", [self._entry], id, text)
        except LedgerError as error:
            log.warning("answer_not_noted", id=id, error=str(error))

    async def give_back(self) -> None:
        """Let others have the key, unless something was made under it."""
        if not self._entry or self.earlier:
            return
        # A client that goes away cancels us; its key must not stay taken for that.
        with CancelScope(shield=True):
            try:
                await self._run("reserved", 0)
            except LedgerError as error:
                log.warning("key_not_given_back", error=str(error))

    async def _run(self, script: str, seconds: float) -> str:
        ttl_ms = int(seconds * 1000)
        return await to_thread.run_sync(
            self._ledger.run, script, [self._entry], self._nonce, ttl_ms
        )


async def claimed(
    request: Request, context: InContext, owner: Owner, key: Key = None
) -> AsyncIterator[Claim]:
    """Take the request's key before its body; give it back where nothing comes of it."""
    entry = context.ledger.key("answer", digest(owner, _route(request), key)) if key else ""
    claim = Claim(context.ledger, entry)
    await claim.take()
    try:
        yield claim
    except BaseException:
        await claim.give_back()
        raise


InClaim = Annotated[Claim, Depends(claimed)]


def in_flight() -> ProblemError:
    """Refuse a repeat while the first request has not been answered."""
    detail = "a request with this Idempotency-Key is being answered: try again for its answer"
    headers = {"Retry-After": "1"}
    return ProblemError(409, "idempotency_key_in_flight", detail, headers=headers)


def fingerprint(asked: BaseModel | None, *files: str) -> str:
    """Hash what a request says, not how it is written, and the sha256 of its file."""
    said = asked.model_dump(mode="json") if asked else None
    return digest(canonical(said), *files)


def canonical(document: Any) -> str:
    """Write a document in the one way that equal documents share."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(*parts: str) -> str:
    """Hash strings so that no two lists of them run together."""
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _route(request: Request) -> str:
    return str(request.scope["route"].path)

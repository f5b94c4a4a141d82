"""Ends the connection of a client that is answered before its body has come to the end.

It does not know why: the server would otherwise read, only to throw it away, all that a refused
client still sends.
"""

from anyio import move_on_after
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A body this short is cheaper to read than a new connection.
SHORT_BYTES = 256 * 1024
LINGER_SECONDS = 2.0


class Unread:
    """Stands outermost: says `Connection: close` with such an answer, and then closes."""

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
    is_told = "transfer-encoding" not in headers and length.isdecimal()
    return is_told and int(length) <= SHORT_BYTES


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

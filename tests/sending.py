"""Sends uploads by hand, so that a test can stop, count or watch in the middle of one.

A body is never held: what fills it is made while it is sent.
"""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

MIB = 1024**2
BOUNDARY = b"----a boundary"
CONTENT_TYPE = f'multipart/form-data; boundary="{BOUNDARY.decode()}"'
ENDING = b"--" + BOUNDARY + b"--\r\n"


def part_head(name: str) -> bytes:
    """Return what stands before a part's content."""
    disposition = f'Content-Disposition: form-data; name="{name}"'.encode()
    return b"--" + BOUNDARY + b"\r\n" + disposition + b"\r\n\r\n"


def part(name: str, content: bytes) -> bytes:
    """Return a whole part."""
    return part_head(name) + content + b"\r\n"


def post_head(*lines: str) -> bytes:
    """Return the head of a POST to the injections."""
    first = ("POST /v1/injections HTTP/1.1", "Host: localhost")
    return "\r\n".join((*first, *lines, "", "")).encode()


@dataclass(frozen=True)
class Giant:
    """A multipart body of any size: `start`, then `zeros` bytes of zero, then `end`."""

    start: bytes
    zeros: int
    end: bytes

    @property
    def length(self) -> int:
        return len(self.start) + self.zeros + len(self.end)

    def head(self, *lines: str) -> bytes:
        """Return the head of its POST, with further header lines."""
        length = f"Content-Length: {self.length}"
        return post_head(f"Content-Type: {CONTENT_TYPE}", length, *lines)


def giant(request: object, header: object, zeros: int, tail: bytes) -> Giant:
    """Return a submission whose checkpoint is this header, then zeros, then `tail`."""
    raw = json.dumps(header).encode()
    file = len(raw).to_bytes(8, "little") + raw
    start = part("request", json.dumps(request).encode()) + part_head("checkpoint") + file
    return Giant(start, zeros, tail + b"\r\n" + ENDING)


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """Open a connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        yield connection


def answer(connection: socket.socket) -> tuple[http.client.HTTPResponse, bytes]:
    """Read the response, and its content."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response, response.read()


def push(port: int, start: bytes, count: int) -> tuple[int, http.client.HTTPResponse]:
    """Send `start` and `count` zeros, heedless of any answer; count what the connection took."""
    taken = 0
    with connected(port) as connection:
        # It keeps little for us, so that what it takes is about what was read.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)
        connection.sendall(start)
        with suppress(ConnectionError):
            while taken < count:
                taken += connection.send(bytes(min(64 * 1024, count - taken)))
        response, _ = answer(connection)
    return taken, response

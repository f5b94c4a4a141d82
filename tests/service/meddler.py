"""Stands between a client and the real API, and meddles with the answers a test names."""

import socket
import socketserver
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Self

BLOCK = 65_536


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    line: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Cut:
    """Passes a request on, and of its answer's content so many bytes; then the line goes dead."""

    after_bytes: int


@dataclass(frozen=True)
class Say:
    """Answers in the API's stead, which hears nothing."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


class Meddler(socketserver.ThreadingTCPServer):
    """Takes one request a connection; what `plans` has no word for passes through.

    The headers in `drop` do not.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, to: int) -> None:
        super().__init__(("127.0.0.1", 0), Meddling)
        self.to = to
        self.plans: deque[Cut | Say] = deque()
        self.asked: list[Asked] = []
        self.drop: frozenset[str] = frozenset({"connection"})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.shutdown()
        self.server_close()


class Meddling(socketserver.StreamRequestHandler):
    """One request and its answer."""

    server: Meddler

    def handle(self) -> None:
        lines = []
        while (line := self.rfile.readline()).strip():
            lines.append(line.decode().strip())
        if not lines:
            return
        headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in lines[1:])}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        self.server.asked.append(Asked(lines[0], headers))
        plan = self.server.plans.popleft() if self.server.plans else None
        if isinstance(plan, Say):
            said = {**plan.headers, "Content-Length": "0", "Connection": "close"}
            shown = "".join(f"{name}: {value}\r\n" for name, value in said.items())
            self.wfile.write(f"HTTP/1.1 {plan.status} Meddled\r\n{shown}\r\n".encode())
            return
        kept = [line for line in lines if line.lower().split(":")[0] not in self.server.drop]
        head = "\r\n".join([*kept, "Connection: close", "", ""]).encode()
        with socket.create_connection(("127.0.0.1", self.server.to)) as far:
            far.sendall(head + body)
            self._pass_on(far, plan)

    def _pass_on(self, far: socket.socket, plan: Cut | None) -> None:
        answer = far.makefile("rb")
        while (line := answer.readline()).strip():
            self._write(line, plan)
        self._write(line, plan)
        left = plan.after_bytes if plan else -1
        while left and (chunk := answer.read1(BLOCK if left < 0 else min(left, BLOCK))):
            self.wfile.write(chunk)
            left -= len(chunk) if left > 0 else 0

    def _write(self, line: bytes, plan: Cut | None) -> None:
        # An answer that is lost before its content has not even begun.
        if plan is None or plan.after_bytes:
            self.wfile.write(line)

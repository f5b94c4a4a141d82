"""A server that hears webhooks: a test sees what came, and chooses what is answered."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook as Verifier

from tests.processes import eventually


@dataclass(frozen=True)
class Heard:
    """One request: its headers in lower case, and its body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> dict[str, Any]:
        """Return the message; WebhookVerificationError unless this secret signed it."""
        return dict(Verifier(secret).verify(self.body, self.headers))


@dataclass
class Listener:
    """Answers each request with the next of `answers`, the last one for ever."""

    answers: list[int] = field(default_factory=lambda: [200])
    heard: list[Heard] = field(default_factory=list)
    before_answer: Callable[[int], None] = lambda number: None  # a field's default
    location: str = ""
    body: bytes = b"thanks"
    port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def hear(self, one: Heard) -> int:
        """Note a request and return the status to answer."""
        with self._lock:
            number = len(self.heard)
            self.heard.append(one)
        self.before_answer(number)
        return self.answers[min(number, len(self.answers) - 1)]

    def wait(self, count: int, seconds: float = 60) -> None:
        """Wait until so many requests came."""
        eventually(lambda: len(self.heard) >= count, seconds, f"{count} requests came")


@contextmanager
def listening(
    answers: list[int] | None = None, wrap: Callable[[Any], Any] | None = None
) -> Iterator[Listener]:
    """Serve on loopback while the block runs; `wrap` puts TLS around the socket."""
    listener = Listener(answers or [200])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the base class's name
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers["content-length"]))
            status = listener.hear(Heard(self.path, headers, body))
            self.send_response(status)
            if listener.location:
                self.send_header("Location", listener.location)
            self.send_header("Content-Length", str(len(listener.body)))
            self.end_headers()
            self.wfile.write(listener.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if wrap:
        server.socket = wrap(server.socket)
    listener.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)

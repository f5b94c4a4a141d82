"""One call of a webhook, on real sockets: to which address, under which name, and how long."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from headgraft.service.webhooks.addresses import Target
from headgraft.service.webhooks.call import (
    ANSWER_BYTES_MAX,
    DeliveryResult,
    call,
    client,
    message,
    signed,
)
from headgraft.service.webhooks.records import Delivery, fresh_secret
from tests.service.webhooks.hooks import listening

DELIVERY = Delivery(
    id="msg_1",
    webhook="wh_1",
    type="injection.succeeded",
    job="inj_1",
    job_status="succeeded",
    job_attempt=1,
    created_at=1_700_000_000_000,
    status="pending",
)
SECRET = fresh_secret()
LIMIT_SECONDS = 2.0


def post(url: str, limit_seconds: float = LIMIT_SECONDS) -> DeliveryResult:
    """Call 127.0.0.1 under the name in a URL, which no name server knows."""
    return asyncio.run(_post(Target(httpx.URL(url), "127.0.0.1"), limit_seconds))


async def _post(target: Target, limit_seconds: float) -> DeliveryResult:
    async with client() as http:
        return await call(http, target, DELIVERY, [SECRET], limit_seconds)


@contextmanager
def saying(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """DeliveryResult each connection by hand, and return the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(65536)
                        answer(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
    thread.join(60)


def test_the_name_should_not_be_looked_up_again() -> None:
    """It cannot be: nobody knows it. Whatever it may lead to by now, the call goes elsewhere."""
    with listening() as listener:
        assert post(f"http://hooks.invalid:{listener.port}/hook") == DeliveryResult(200, None)
    assert listener.heard[0].headers["host"] == f"hooks.invalid:{listener.port}"
    assert listener.heard[0].verified(SECRET)["data"]["id"] == "inj_1"


def test_a_redirect_should_not_be_followed() -> None:
    with listening() as elsewhere, listening([307]) as listener:
        listener.location = elsewhere.url
        answer = post(listener.url)
    assert answer == DeliveryResult(307, "answered 307: redirects are not followed")
    assert elsewhere.heard == []


def test_no_proxy_of_the_environment_should_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as proxy, listening() as listener:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert post(listener.url).error is None
    assert proxy.heard == []


def test_an_answer_without_an_end_should_be_cut_off_by_its_length() -> None:
    taken = 0

    def flood(connection: socket.socket) -> None:
        nonlocal taken
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            taken += connection.send(bytes(4096))

    with saying(flood) as port:
        assert post(f"http://127.0.0.1:{port}/", 10) == DeliveryResult(200, None)
    # What lies in the two sockets comes on top of what was read.
    assert ANSWER_BYTES_MAX < taken < ANSWER_BYTES_MAX + 8 * 1024**2


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_in_drops_should_be_cut_off_by_its_time(start: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(100):
            time.sleep(0.1)
            connection.sendall(b"x" if start.endswith(b"\r\n\r\n") else b"")

    with saying(drip) as port:
        before = time.monotonic()
        answer = post(f"http://127.0.0.1:{port}/", 0.5)
        assert time.monotonic() - before < 8
    assert answer == DeliveryResult(None, "no whole answer within 0.5 s")


def test_nobody_listening_and_nonsense_should_be_failures(free_port: int) -> None:
    assert "failed" in str(post(f"http://127.0.0.1:{free_port}/").error)
    with saying(lambda connection: connection.sendall(b"nonsense\r\n\r\n")) as port:
        assert "failed" in str(post(f"http://127.0.0.1:{port}/").error)


@pytest.mark.parametrize(
    ("name", "is_trusted"), [("hooks.invalid", True), ("other.invalid", False)]
)
def test_the_certificate_should_be_that_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_trusted: bool
) -> None:
    context, asked = _certified(tmp_path, "hooks.invalid")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    wrap = lambda plain: context.wrap_socket(plain, server_side=True)  # noqa: E731
    with listening(wrap=wrap) as listener:
        answer = post(f"https://{name}:{listener.port}/hook", 10)
    assert asked == [name]
    assert len(listener.heard) == is_trusted
    assert (answer.status == 200) == is_trusted
    if not is_trusted:
        assert "certificate" in str(answer.error).lower()


def _certified(folder: Path, name: str) -> tuple[ssl.SSLContext, list[str | None]]:
    """Return a server's TLS with a certificate of its own for a name, and the names it is asked."""
    openssl = shutil.which("openssl")
    assert openssl, "no openssl on PATH"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    new = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*new, *subject, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    return context, asked


def test_a_message_should_be_the_same_at_every_attempt_and_signed_for_its_time() -> None:
    later = DELIVERY.model_copy(update={"attempts": 5, "error": "answered 500"})
    assert message(later) == message(DELIVERY)
    headers = signed(DELIVERY, [SECRET])
    assert Verifier(SECRET).verify(message(DELIVERY), headers)["timestamp"].startswith("2023-11-14")
    for name, value in (("webhook-id", "msg_2"), ("webhook-timestamp", "1700000000")):
        with pytest.raises(WebhookVerificationError):
            Verifier(SECRET).verify(message(DELIVERY), {**headers, name: value})

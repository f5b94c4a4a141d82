"""Who is let in by created keys: the real server, which had no key when it started."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from headgraft.service.web import created_keys as keyring
from tests.ledger import Ledger
from tests.processes import Processes, eventually
from tests.service.files import problem, submit
from tests.service.web.created_keys import client, key, key_id

PATH = "/v1/injections"


@pytest.fixture
def server(redis_url: str, ledger: Ledger, tmp_path: Path) -> Iterator[Processes]:
    """Return a server without a key in its settings, over an empty ledger."""
    processes = Processes(tmp_path, redis_url)
    yield processes
    processes.stop()


def is_closed(processes: Processes) -> bool:
    return httpx.get(processes.url + PATH).status_code == 401


def test_the_first_key_should_close_a_service_for_good(server: Processes, ledger: Ledger) -> None:
    server.start_api()
    with client(server, None) as nobody:
        assert nobody.get(PATH).status_code == 200
        text = key(ledger)
        eventually(lambda: is_closed(server), 60, "a key is asked for")
        with client(server, text) as ada:
            job = submit(ada).json()["id"]
            assert ledger.get(job).owner == "ada"  # type: ignore[union-attr]
            problem(nobody.get(f"{PATH}/{job}"), 401, "unauthorized")
            assert nobody.get("/healthz").status_code == 200

            keyring.revoke(ledger, key_id(text))

            problem(ada.get(PATH), 401, "unauthorized")
        problem(nobody.get(PATH), 401, "unauthorized")


def test_a_text_that_is_no_key_should_open_nothing(server: Processes, ledger: Ledger) -> None:
    key(ledger)
    server.start_api()
    for text in ("hg_0123456789ab_" + "A" * 43, "hg_", "nonsense"):
        with client(server, text) as stranger:
            problem(stranger.get(PATH), 401, "unauthorized")


def test_beyond_loopback_there_should_be_a_key(server: Processes, ledger: Ledger) -> None:
    refused = server.start("headgraft.service.server", HEADGRAFT_HOST="0.0.0.0")
    assert refused.wait(60) == 2
    assert "headgraft keys create" in server.log("headgraft.service.server").read_text()

    text = key(ledger)
    server.start_api(HEADGRAFT_HOST="0.0.0.0")

    assert is_closed(server)
    with client(server, text) as ada:
        assert ada.get(PATH).status_code == 200
    ledger.client.flushdb()
    assert is_closed(server)


def test_redis_away_should_open_nothing(server: Processes, free_port: int) -> None:
    """A server that cannot see whether keys exist says so; it does not take anybody in."""
    away = f"redis://127.0.0.1:{free_port}"
    process = server.start("headgraft.service.server", HEADGRAFT_REDIS_URL=away)
    eventually(lambda: _is_alive(server, process), 60, "the server answers")

    problem(httpx.get(server.url + PATH, timeout=30), 503, "redis_unavailable")
    foreign = httpx.get(f"{server.url}/healthz", headers={"Host": "elsewhere.example"})
    problem(foreign, 421, "unknown_host")


def _is_alive(processes: Processes, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, processes.log("headgraft.service.server").read_text()
    try:
        return httpx.get(f"{processes.url}/healthz").is_success
    except httpx.TransportError:
        return False

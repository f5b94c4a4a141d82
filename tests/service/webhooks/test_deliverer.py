"""Deliveries of the real processes: told at least once, whoever dies, and to whom they may be."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.deployment.programs import give_up
from tests.ledger import Ledger
from tests.processes import Processes, eventually
from tests.service.files import problem
from tests.service.injections.test_routes import created
from tests.service.own_redis import redis_url
from tests.service.webhooks.hooks import Listener, listening
from tests.service.webhooks.test_routes import hook

__all__ = ["redis_url"]

WRAPPERS = list(Path("/usr/lib").glob("*/libnss_wrapper.so"))
ENVIRONMENT = {
    "HEADGRAFT_WEBHOOK_ALLOW": "127.0.0.1/32",
    "HEADGRAFT_WEBHOOK_BACKOFF_SECONDS": ",".join(["0.2"] * 8),
    "HEADGRAFT_WEBHOOK_TIMEOUT_SECONDS": "2",
}


@pytest.fixture
def server(redis_url: str, ledger: Ledger, tmp_path: Path) -> Iterator[Processes]:
    """Return a server, not started yet, that may call this machine."""
    processes = Processes(tmp_path, redis_url, dict(ENVIRONMENT))
    yield processes
    processes.stop()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as one:
        yield one


def end_a_job(server: Processes, url: str) -> str:
    """Create a webhook and a job, end the job, and return the path of the deliveries."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        made = hook(client, url)
        client.post(f"/v1/injections/{created(client)}/cancel")
    return f"{server.url}/v1/webhooks/{made['id']}/deliveries"


def delivery(path: str) -> dict[str, object]:
    """Return the one delivery."""
    data = httpx.get(path, timeout=30).json()["data"]
    assert len(data) == 1
    return dict(data[0])


def wait_delivered(path: str, seconds: float = 30) -> dict[str, object]:
    eventually(lambda: delivery(path)["status"] == "delivered", seconds, "it is delivered")
    return delivery(path)


def test_a_target_that_fails_five_times_should_get_one_success(
    server: Processes, listener: Listener
) -> None:
    listener.answers = [500, 503, 404, 302, 500, 200]
    server.start_api()
    path = end_a_job(server, listener.url)

    told = wait_delivered(path)

    time.sleep(1.0)
    assert len(listener.heard) == told["attempts"] == 6
    assert {one.id for one in listener.heard} == {told["id"]}
    assert len({one.body for one in listener.heard}) == 1


def test_an_api_that_is_killed_between_should_change_nothing_of_that(
    server: Processes, listener: Listener
) -> None:
    listener.answers = [500, 500, 500, 500, 500, 200]
    api = server.start_api()

    def kill(number: int) -> None:
        # Once while an attempt waits for its answer, which is thereby lost.
        if number == 2:
            os.kill(api.pid, signal.SIGKILL)
            api.wait(60)

    listener.before_answer = kill
    path = end_a_job(server, listener.url)
    listener.wait(3)
    assert api.wait(60) == -signal.SIGKILL
    time.sleep(1.0)
    assert len(listener.heard) == 3

    server.start_api()
    told = wait_delivered(path)

    time.sleep(1.0)
    assert len(listener.heard) == told["attempts"] == 6
    assert {one.id for one in listener.heard} == {told["id"]}


def test_a_delivery_whose_answer_was_lost_should_be_repeated_with_the_same_id(
    server: Processes, listener: Listener
) -> None:
    api = server.start_api()

    def kill(number: int) -> None:
        if number == 0:
            os.kill(api.pid, signal.SIGKILL)
            api.wait(60)

    listener.before_answer = kill
    path = end_a_job(server, listener.url)
    listener.wait(1)
    assert api.wait(60) == -signal.SIGKILL

    server.start_api()
    told = wait_delivered(path)

    assert len(listener.heard) == told["attempts"] == 2
    assert [one.id for one in listener.heard] == [told["id"]] * 2
    assert listener.heard[0].body == listener.heard[1].body


def test_two_servers_should_tell_each_message_once(
    server: Processes, listener: Listener, free_port: int
) -> None:
    server.start_api()
    other = server.start("headgraft.service.server", HEADGRAFT_PORT=str(free_port))
    eventually(lambda: _answers(free_port, other), 60, "the second server answers")
    with httpx.Client(base_url=server.url, timeout=30) as client:
        hook(client, listener.url)
        for _ in range(20):
            client.post(f"/v1/injections/{created(client)}/cancel")
    listener.wait(20)
    time.sleep(1.0)
    assert len(listener.heard) == len({one.id for one in listener.heard}) == 20


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").is_success
    except httpx.TransportError:
        return False


def test_what_ended_while_no_server_ran_should_be_told_by_the_next(
    server: Processes, ledger: Ledger, listener: Listener
) -> None:
    api = server.start_api()
    with httpx.Client(base_url=server.url, timeout=30) as client:
        made = hook(client, listener.url)
        job = created(client)
    api.terminate()
    api.wait(60)
    assert ledger.cancel(job) == "ok"
    assert listener.heard == []

    server.start_api()

    listener.wait(1)
    assert listener.heard[0].verified(made["secret"])["data"]["id"] == job


def lead(hosts: Path, *addresses: str) -> None:
    """Let the name hooks.example lead to these addresses from now on."""
    before = hosts.stat().st_mtime if hosts.exists() else time.time()
    hosts.write_text("".join(f"{address} hooks.example\n" for address in addresses))
    # The library reads it again where its time of change, in seconds, is another.
    os.utime(hosts, (before + 5,) * 2)


@pytest.fixture
def hosts(server: Processes, tmp_path: Path) -> Path:
    """Return the file that this server's name look-ups go by: the C library's own, redirected."""
    if not WRAPPERS:
        give_up("no libnss_wrapper.so: apt-get install libnss-wrapper")
    file = tmp_path / "hosts"
    lead(file, "93.184.215.14")
    server.environment |= {"LD_PRELOAD": str(WRAPPERS[0]), "NSS_WRAPPER_HOSTS": str(file)}
    return file


def test_a_name_that_leads_home_should_be_refused_at_creation(
    server: Processes, hosts: Path
) -> None:
    server.start_api()
    for addresses in (
        ["127.0.0.2"],
        ["169.254.169.254"],
        ["93.184.215.14", "169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.2"],
    ):
        lead(hosts, *addresses)
        reply = httpx.post(f"{server.url}/v1/webhooks", json={"url": "https://hooks.example/"})
        document = problem(reply, 422, "invalid_request")
        assert "not public" in document["detail"], addresses
        assert not [address for address in addresses if address in reply.text]


def test_a_name_that_leads_home_later_should_be_refused_at_delivery(
    server: Processes, hosts: Path, ledger: Ledger
) -> None:
    with listening() as listener:
        server.start_api(HEADGRAFT_WEBHOOK_ALLOW="127.0.0.9/32")
        url = f"http://hooks.example:{listener.port}/"
        lead(hosts, "127.0.0.9")
        with httpx.Client(base_url=server.url, timeout=30) as client:
            made = hook(client, url)
            lead(hosts, "127.0.0.1")
            client.post(f"/v1/injections/{created(client)}/cancel")
            path = f"{server.url}/v1/webhooks/{made['id']}/deliveries"
            eventually(lambda: delivery(path)["error"] is not None, 60, "an attempt was made")
            assert "not public" in str(delivery(path)["error"])
            assert delivery(path)["answer"] is None
        assert listener.heard == []


def test_a_name_should_be_called_at_the_address_it_has_now(
    server: Processes, hosts: Path, listener: Listener
) -> None:
    lead(hosts, "127.0.0.1")
    server.start_api()
    wait_delivered(end_a_job(server, f"http://hooks.example:{listener.port}/x?y=1"))
    assert listener.heard[0].headers["host"] == f"hooks.example:{listener.port}"
    assert listener.heard[0].path == "/x?y=1"

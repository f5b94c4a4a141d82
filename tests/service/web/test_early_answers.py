"""What becomes of a body that is refused before it has come: it is not read to the end."""

import http.client

import httpx
import pytest

from headgraft.service.web.middleware import SHORT_BYTES
from tests.processes import Processes
from tests.sending import MIB, giant, post_head, push
from tests.service.files import injection, problem

LENGTH = 30 * MIB
MALFORMED = giant(injection(timeout_seconds=0), {}, LENGTH, b"")
REFUSED = {
    "by its key": ("keyed_api", post_head(f"Content-Length: {LENGTH}"), 401),
    "by its type": (
        "open_api",
        post_head(f"Content-Length: {LENGTH}", "Content-Type: text/plain"),
        415,
    ),
    "by its request": ("open_api", MALFORMED.head() + MALFORMED.start, 422),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_client_that_sends_on_should_be_cut_off_and_have_its_answer(
    request: pytest.FixtureRequest, case: tuple[str, bytes, int]
) -> None:
    name, start, status = case
    processes: Processes = request.getfixturevalue(name)

    taken, response = push(processes.port, start, LENGTH)

    assert response.status == status
    assert response.headers["connection"] == "close"
    assert taken < MIB, f"{taken} bytes were taken"


def test_a_client_that_reads_nothing_before_it_has_sent_all_should_have_its_answer(
    keyed_api: Processes,
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", keyed_api.port, timeout=10)
    pieces = iter([b"x" * 1000] * (SHORT_BYTES // 1000))

    connection.request("POST", "/v1/injections", body=pieces, encode_chunked=True)

    assert connection.getresponse().status == 401
    connection.close()


def test_a_refused_short_body_should_not_cost_the_connection(open_api: Processes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", open_api.port, timeout=10)
    for _ in range(3):
        connection.request("POST", "/v1/injections", body=b"x" * SHORT_BYTES)
        answer = connection.getresponse()
        assert answer.status == 415
        assert answer.headers["connection"] is None
        answer.read()
    connection.close()


def test_a_long_body_that_came_to_its_end_should_not_cost_the_connection(
    api: httpx.Client,
) -> None:
    long = injection(add=["x" * 300] * 1000)

    response = api.post("/v1/injections", json=long)

    problem(response, 422, "invalid_request")
    assert "connection" not in response.headers

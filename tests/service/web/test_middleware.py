"""What is decided by headers alone, before a byte of a body is read."""

import http.client
import json
import socket

import httpx
import pytest

from tests.processes import Processes, eventually
from tests.service.conftest import KEYS
from tests.service.files import checkpoint, injection, parts, problem, submit

GIB = 1024**3


def answer_to(port: int, *lines: str) -> http.client.HTTPResponse:
    """Send a request's head, no byte of its body, and return the answer that comes all the same."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall("\r\n".join((*lines, "", "")).encode())
        response = http.client.HTTPResponse(connection)
        response.begin()
        response.read()
        response.close()
    return response


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Bearer wrong",
        "Bearer",
        "Basic " + KEYS["ada"],
        KEYS["ada"],
        "Bearer " + KEYS["ada"] + "x",
        "Bearer " + KEYS["ada"][:-1],
    ],
)
def test_a_request_without_a_right_key_should_be_refused(
    keyed_api: Processes, authorization: str | None
) -> None:
    headers = {"Authorization": authorization} if authorization is not None else {}

    response = httpx.get(f"{keyed_api.url}/v1/injections", headers=headers)

    problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_right_key_should_be_let_in_whatever_the_case_of_its_scheme(
    keyed_api: Processes,
) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {KEYS['grace']}"}
        assert httpx.get(f"{keyed_api.url}/v1/injections", headers=headers).status_code == 200


def test_a_refusal_should_not_wait_for_the_body(keyed_api: Processes) -> None:
    response = answer_to(
        keyed_api.port,
        "POST /v1/injections HTTP/1.1",
        "Host: localhost",
        "Content-Type: multipart/form-data; boundary=b",
        "Content-Length: 1000000",
    )

    assert response.status == 401


def test_a_refused_client_that_sends_on_should_still_read_its_answer(
    keyed_api: Processes,
) -> None:
    response = httpx.post(f"{keyed_api.url}/v1/injections", content=b"x" * 10_000_000)

    problem(response, 401, "unauthorized")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json"])
def test_a_few_paths_should_be_open_to_all(keyed_api: Processes, path: str) -> None:
    assert httpx.get(keyed_api.url + path).status_code == 200


@pytest.mark.parametrize("path", ["/", "/v1/methods", "/healthz/", "/v1/nowhere"])
def test_every_other_path_should_need_the_key(keyed_api: Processes, path: str) -> None:
    problem(httpx.get(keyed_api.url + path), 401, "unauthorized")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "0.0.0.0"])
def test_a_foreign_host_name_should_be_refused_where_no_key_is_asked(
    api: httpx.Client, host: str
) -> None:
    document = problem(api.get("/v1/methods", headers={"Host": host}), 421, "unknown_host")

    assert "localhost" in document["detail"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000"])
def test_the_own_host_names_should_be_served(api: httpx.Client, host: str) -> None:
    assert api.get("/v1/methods", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1", "x://["]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_page_of_elsewhere_should_be_refused_where_no_key_is_asked(
    api: httpx.Client, origin: str, method: str
) -> None:
    response = api.request(method, "/v1/injections", headers={"Origin": origin})

    problem(response, 403, "forbidden_origin")


def test_the_own_page_should_be_served(api: httpx.Client) -> None:
    origin = str(api.base_url).rstrip("/")

    assert api.get("/v1/methods", headers={"Origin": origin}).status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_an_encoded_body_should_be_refused(api: httpx.Client, encoding: str) -> None:
    response = api.post("/v1/injections", content=b"x", headers={"Content-Encoding": encoding})

    document = problem(response, 415, "unsupported_media_type")
    assert encoding in document["detail"]


@pytest.mark.parametrize(
    ("content_type", "length"),
    [("application/json", 33 * 1024**2), ("multipart/form-data; boundary=b", 9 * GIB)],
)
def test_a_declared_length_beyond_the_limit_should_be_refused_at_once(
    open_api: Processes, content_type: str, length: int
) -> None:
    response = answer_to(
        open_api.port,
        "POST /v1/injections HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {content_type}",
        f"Content-Length: {length}",
    )

    assert response.status == 413


def test_bodies_beyond_the_limits_should_be_refused_while_they_come(
    redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    limits = {"HEADGRAFT_UPLOAD_BYTES_MAX": "1000", "HEADGRAFT_REQUEST_BYTES_MAX": "500"}
    small = Processes(tmp_path_factory.mktemp("small"), redis_url, limits)
    try:
        small.start_api()
        with httpx.Client(base_url=small.url) as client:
            json_in_chunks = iter([json.dumps(injection()).encode()] * 3)
            headers = {"Content-Type": "application/json"}
            too_long = client.post("/v1/injections", content=json_in_chunks, headers=headers)
            problem(too_long, 413, "too_large")
            problem(submit(client), 413, "too_large")
            short = {"add": ["x"], "class_names": ["a", "b"]}
            big_file = submit(client, short, checkpoint())
            assert "checkpoint" in problem(big_file, 413, "too_large")["detail"]
            encoded = client.build_request(
                "POST", "/v1/injections", files=parts(short, b"x" * 3_000_000)
            )
            endless = iter([encoded.read()])
            headers = {"Content-Type": encoded.headers["content-type"]}
            problem(
                client.post("/v1/injections", content=endless, headers=headers),
                422,
                "invalid_checkpoint",
            )
        assert not [path for path in small.store_folder.rglob("*") if path.is_file()]
    finally:
        small.stop()


def test_a_sane_request_id_should_be_kept_and_another_replaced(api: httpx.Client) -> None:
    kept = api.get("/healthz", headers={"X-Request-Id": "trace-1.2:3"})
    replaced = api.get("/healthz", headers={"X-Request-Id": "two words"})
    fresh = api.get("/healthz")

    assert kept.headers["x-request-id"] == "trace-1.2:3"
    assert replaced.headers["x-request-id"] != "two words"
    assert len(fresh.headers["x-request-id"]) == 32


def test_each_request_should_leave_one_json_line(keyed_api: Processes, ada: httpx.Client) -> None:
    ada.get("/v1/methods", headers={"X-Request-Id": "the-line-to-find"})

    def told() -> list[str]:
        lines = keyed_api.log("headgraft.service.server").read_text().splitlines(keepends=True)
        return [line for line in lines if line.endswith("\n")]

    def lines_found() -> list[str]:
        return [line for line in told() if "the-line-to-find" in line]

    eventually(lines_found, 60, "the line is written")
    found = [json.loads(line) for line in lines_found()]
    assert len(found) == 1
    assert found[0]["owner"] == "ada"
    assert found[0]["status"] == 200
    assert 0 <= found[0]["seconds"] < 5
    assert not [line for line in told() if KEYS["ada"] in line], "a key stands in the log"

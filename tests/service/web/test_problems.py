"""Every error is a problem document, whatever raised it."""

import httpx
import pytest

from headgraft.service.local import redis_server
from headgraft.workers.ledger.connections import connect
from tests.processes import Processes, eventually
from tests.service.files import class_names, problem, stored, submit


def test_an_unknown_path_should_be_a_problem(api: httpx.Client) -> None:
    problem(api.get("/v1/nowhere"), 404, "not_found")


def test_a_wrong_method_should_be_a_problem_that_names_the_right_ones(api: httpx.Client) -> None:
    response = api.delete("/v1/injections")

    problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, POST"
    assert api.put("/v1/injections/x/head").headers["allow"] == "GET, HEAD"


def test_an_unknown_id_should_be_a_problem(api: httpx.Client) -> None:
    for path in ("/v1/injections/inj_1", "/v1/heads/head_1"):
        problem(api.get(path), 404, "not_found")


def test_redis_away_should_be_a_503_that_says_when_to_come_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    redis = redis_server.start(tmp_path_factory.mktemp("away"))
    processes = Processes(tmp_path_factory.mktemp("api"), redis.url)
    try:
        processes.start_api()
        with httpx.Client(base_url=processes.url, timeout=30) as client:
            # With this the server has seen that no key is asked for.
            assert client.get("/v1/methods").status_code == 200
            redis.stop()
            answers = [
                client.get("/readyz"),
                client.get("/v1/injections"),
                client.get("/v1/injections/inj_1"),
                client.get("/v1/encoders"),
                submit(client),
                submit(client, {"class_names": ["a", "b"]}, to="/v1/heads"),
            ]
            for answer in answers:
                problem(answer, 503, "redis_unavailable")
                assert answer.headers["retry-after"] == "1"
            assert client.get("/healthz").status_code == 200
            assert client.get("/v1/methods").status_code == 200
        assert not [path for path in processes.store_folder.rglob("*") if path.is_file()]
        assert "Traceback" not in processes.log("headgraft.service.server").read_text()
    finally:
        processes.stop()
        redis.stop()


def test_a_full_redis_should_be_a_503_like_one_that_is_away(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    redis = redis_server.start(tmp_path_factory.mktemp("full"))
    processes = Processes(tmp_path_factory.mktemp("api"), redis.url)
    head = {"class_names": class_names()}
    try:
        processes.start_api()
        with (
            httpx.Client(base_url=processes.url, timeout=30) as client,
            connect(redis.url) as server,
        ):
            assert submit(client).status_code == 202
            before = stored(processes.store_folder)
            server.config_set("maxmemory", "1")
            for refused in (submit(client), submit(client, head, to="/v1/heads")):
                problem(refused, 503, "redis_full")
                assert refused.headers["retry-after"] == "1"
            assert client.get("/v1/injections").status_code == 200
            assert client.get("/readyz").status_code == 200
            assert stored(processes.store_folder) == before
            server.config_set("maxmemory", "0")
            assert submit(client).status_code == 202
        assert "Traceback" not in processes.log("headgraft.service.server").read_text()
    finally:
        processes.stop()
        redis.stop()


def test_a_store_away_should_be_a_503(
    redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    environment = {
        "HEADGRAFT_STORE_URL": "s3://bucket/prefix",
        "AWS_ENDPOINT": "http://127.0.0.1:9",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "nowhere",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }
    processes = Processes(tmp_path_factory.mktemp("api"), redis_url, environment)
    try:
        processes.start("headgraft.service.server")
        with httpx.Client(base_url=processes.url, timeout=60) as client:
            eventually(lambda: _answers(client), 60, "the server answers")
            response = client.get("/readyz")
            problem(response, 503, "store_unavailable")
            assert response.headers["retry-after"] == "1"
    finally:
        processes.stop()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_an_unexpected_error_should_show_its_request_id_and_log_its_traceback(
    open_api: Processes, api: httpx.Client, redis_url: str
) -> None:
    from headgraft.workers.ledger.connections import connect

    client = connect(redis_url)
    client.set("headgraft:job:inj_broken", "not a hash")
    client.close()

    response = api.get("/v1/injections/inj_broken", headers={"X-Request-Id": "broken-one"})

    document = problem(response, 500, "internal_error")
    assert "broken-one" in document["detail"]
    assert "WRONGTYPE" not in response.text
    log = open_api.log("headgraft.service.server").read_text()
    assert [line for line in log.splitlines() if "broken-one" in line and "WRONGTYPE" in line]


def test_bytes_that_are_no_text_should_be_refused_like_text_that_is_no_json(
    api: httpx.Client,
) -> None:
    for content in (b'\xff"b', b"{"):
        headers = {"Content-Type": "application/json"}
        response = api.post("/v1/webhooks", content=content, headers=headers)
        assert response.status_code == 422, response.text


def test_true_should_be_no_number_and_a_round_one_be_whole(api: httpx.Client) -> None:
    for seconds, status in ((True, 422), ("5", 422), (5.5, 422), (5.0, 404)):
        asked = {"add": ["x"], "head_id": "head_0", "timeout_seconds": seconds}
        assert api.post("/v1/injections", json=asked).status_code == status

"""What a key allows: requests a minute, jobs at once, upload size, bytes in the store."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from headgraft.service.web.key_limits import KeyLimits
from headgraft.workers.process.janitor import Janitor
from headgraft.workers.store import Store
from tests import keyspace
from tests.ledger import Ledger
from tests.processes import Processes, eventually
from tests.service.files import checkpoint, class_names, injection, problem, stored, submit
from tests.service.injections.test_routes import begin, succeed
from tests.service.web.created_keys import client, key, key_id

PATH = "/v1/injections"
FULL = "https://iana.org/assignments/http-problem-types#quota-exceeded"
HEAD = {"class_names": class_names()}


@pytest.fixture(scope="module")
def server(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Return a server whose own limit, for keys that say nothing, is two jobs at once."""
    processes = Processes(tmp_path_factory.mktemp("api"), redis_url, {"HEADGRAFT_JOBS_MAX": "2"})
    processes.start_api()
    yield processes
    processes.stop()


@pytest.fixture
def store_of_api(server: Processes) -> Store:
    return Store(f"file://{server.store_folder}")


def refused(response: httpx.Response, policy: str) -> dict[str, object]:
    """Return the problem of a 429 that names a policy."""
    document = problem(response, 429, "quota_exceeded")
    assert document["type"] == FULL
    assert document["violated-policies"] == [policy]
    assert int(response.headers["retry-after"]) > 0
    return document


def must_delete(response: httpx.Response, limit: int, used: int) -> None:
    """Check the problem of a full store: no 429, which clients would repeat in vain."""
    document = problem(response, 403, "stored_bytes_exceeded")
    assert document["type"] == FULL
    assert document["violated-policies"] == ["stored-bytes"]
    assert f"{limit} bytes in the store: {used} are used" in str(document["detail"])
    assert "delete" in str(document["detail"])
    assert "retry-after" not in response.headers


def test_every_answer_should_tell_how_many_requests_are_left(
    server: Processes, ledger: Ledger
) -> None:
    text = key(ledger, requests_per_minute=3)
    with client(server, text) as ada:
        answers = [ada.get(PATH), ada.get(f"{PATH}/inj_none"), ada.get(PATH), ada.get(PATH)]

    assert [one.status_code for one in answers] == [200, 404, 200, 429]
    assert {one.headers["ratelimit-policy"] for one in answers} == {'"requests";q=3;w=60'}
    said = [one.headers["ratelimit"].rpartition(";t=") for one in answers]
    assert [left for left, _, _ in said] == [f'"requests";r={left}' for left in (2, 1, 0, 0)]
    assert all(0 < int(seconds) <= 60 for _, _, seconds in said)
    refused(answers[-1], "requests")
    assert answers[-1].headers["retry-after"] == said[-1][2]


def test_a_window_should_be_a_keys_own_and_end(server: Processes, ledger: Ledger) -> None:
    one, other = key(ledger, requests_per_minute=1), key(ledger, requests_per_minute=1)
    with client(server, one) as first, client(server, other) as second:
        assert [first.get(PATH).status_code for _ in range(2)] == [200, 429]
        assert second.get(PATH).status_code == 200
        assert first.get("/healthz").status_code == 200
        ledger.client.pexpire(ledger.key("requests", key_id(one)), 1)
        eventually(lambda: first.get(PATH).status_code == 200, 60, "the next window")
    assert keyspace.leaks(ledger) == []


def test_requests_at_once_should_be_counted_one_by_one(server: Processes, ledger: Ledger) -> None:
    with client(server, key(ledger, requests_per_minute=20)) as ada, ThreadPoolExecutor(16) as pool:
        codes = [one.status_code for one in pool.map(lambda _: ada.get(PATH), range(50))]
    assert codes.count(200) == 20
    assert codes.count(429) == 30


def test_a_key_without_a_limit_should_hear_of_none(server: Processes, ledger: Ledger) -> None:
    with client(server, key(ledger)) as ada:
        assert "ratelimit" not in ada.get(PATH).headers


def test_jobs_at_once_should_be_exactly_as_many_as_allowed(
    server: Processes, ledger: Ledger
) -> None:
    before = stored(server.store_folder)
    with client(server, key(ledger, jobs=3)) as ada, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: submit(ada), range(8)))
        taken = [one.json()["id"] for one in answers if one.status_code == 202]
        assert len(taken) == 3
        for one in answers:
            if one.status_code != 202:
                assert "3 injections" in str(refused(one, "jobs")["detail"])
        assert len(stored(server.store_folder)) - len(before) == 2 * len(taken)

        assert ada.post(f"{PATH}/{taken[0]}/cancel").status_code == 200

        assert [submit(ada).status_code for _ in range(2)] == [202, 429]


def test_the_services_own_limit_should_hold_where_a_key_says_nothing(
    server: Processes, ledger: Ledger
) -> None:
    with client(server, key(ledger)) as ada, client(server, key(ledger, "bob")) as bob:
        assert [submit(ada).status_code for _ in range(3)] == [202, 202, 429]
        assert submit(bob).status_code == 202


def test_an_ended_job_should_make_room(
    server: Processes, ledger: Ledger, store_of_api: Store
) -> None:
    with client(server, key(ledger, jobs=1)) as ada:
        job = submit(ada).json()["id"]
        begin(ledger, job)
        refused(submit(ada), "jobs")
        succeed(ledger, store_of_api, job, "ada")
        assert submit(ada).status_code == 202


def test_an_upload_should_be_as_large_as_its_key_allows(server: Processes, ledger: Ledger) -> None:
    size = len(checkpoint())
    with client(server, key(ledger, upload_bytes=size)) as ada:
        assert submit(ada, HEAD, to="/v1/heads").status_code == 201
    with client(server, key(ledger, upload_bytes=size - 1)) as ada:
        problem(submit(ada, HEAD, to="/v1/heads"), 413, "too_large")
        problem(submit(ada), 413, "too_large")


def test_what_lies_in_the_store_should_be_counted_until_it_is_deleted(
    server: Processes, ledger: Ledger
) -> None:
    size = len(checkpoint())
    with client(server, key(ledger, stored_bytes=3 * size - 1)) as ada:
        heads = [submit(ada, HEAD, to="/v1/heads").json()["id"] for _ in range(2)]
        must_delete(submit(ada, HEAD, to="/v1/heads"), 3 * size - 1, 2 * size)
        must_delete(submit(ada), 3 * size - 1, 2 * size)
        assert ada.delete(f"/v1/heads/{heads[0]}").status_code == 204
        assert submit(ada, HEAD, to="/v1/heads").status_code == 201
        for one in ada.get("/v1/heads").json()["data"]:
            ada.delete(f"/v1/heads/{one['id']}")
    assert not ledger.client.exists(ledger.key("stored", "ada"))


def test_uploads_at_once_should_not_share_the_same_room(server: Processes, ledger: Ledger) -> None:
    limit = 3 * len(checkpoint()) - 1
    before = stored(server.store_folder)
    with client(server, key(ledger, stored_bytes=limit)) as ada, ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: submit(ada, HEAD, to="/v1/heads"), range(6)))
    # Whoever had begun before the others were counted is refused at its end, and leaves nothing.
    assert sorted(one.status_code for one in answers) == [201, 201, 403, 403, 403, 403]
    assert len(stored(server.store_folder)) - len(before) == 2


def test_a_jobs_files_should_be_counted_until_they_expire(
    server: Processes, ledger: Ledger, store_of_api: Store
) -> None:
    def held() -> int:
        return int(ledger.client.hget(ledger.key("stored", "ada"), "total") or 0)

    with client(server, key(ledger)) as ada:
        job = submit(ada, injection()).json()["id"]
        files = [path for path in stored(server.store_folder) if job in str(path)]
        assert held() == sum(path.stat().st_size for path in files)
        begin(ledger, job)
        succeed(ledger, store_of_api, job, "ada")
        files = [path for path in stored(server.store_folder) if job in str(path)]
        assert held() == sum(path.stat().st_size for path in files)
        ledger.client.delete(ledger.key("job", job))
        Janitor(ledger, store_of_api).clean()
        assert held() == 0


def test_what_a_key_leaves_open_should_be_the_general_limit() -> None:
    general = KeyLimits(jobs=2, stored_bytes=10)
    assert KeyLimits(jobs=5).over(general) == KeyLimits(jobs=5, stored_bytes=10)

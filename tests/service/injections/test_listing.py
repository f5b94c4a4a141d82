"""Lists of injections: whole, page by page, and what a filter leaves of them."""

from typing import Any

import httpx
import pytest

from tests.documents import summary
from tests.ledger import Ledger
from tests.service.files import class_names, injection, pointers, problem, submit
from tests.service.injections.test_routes import created

LISTS = ("/v1/injections", "/v1/heads", "/v1/features")


def ids(api: httpx.Client, **params: Any) -> list[str]:
    """Walk through all pages of a filter, two at a time."""
    found: list[str] = []
    while True:
        after = {"after": found[-1]} if found else {}
        page = api.get("/v1/injections", params={"limit": 2, **after, **params}).json()
        found += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            return found


def test_a_status_should_leave_those_that_have_it(api: httpx.Client) -> None:
    jobs = [created(api) for _ in range(5)]
    for job in jobs[1:4]:
        api.post(f"/v1/injections/{job}/cancel")

    assert ids(api, status="cancelled") == jobs[3:0:-1]
    assert ids(api, status="queued") == [jobs[4], jobs[0]]
    assert ids(api, status=["queued", "cancelled"]) == jobs[::-1]
    assert ids(api, status="failed") == []


def test_metadata_should_leave_those_that_have_all_of_it(api: httpx.Client) -> None:
    birds = [created(api, metadata={"team": "birds", "run": str(n)}) for n in range(3)]
    fish = created(api, metadata={"team": "fish", "run": "1", "note": "a=b, c"})

    assert ids(api, metadata="team=birds") == birds[::-1]
    assert ids(api, metadata=["team=birds", "run=1"]) == [birds[1]]
    assert ids(api, metadata="run=1", status="queued") == [fish, birds[1]]
    assert ids(api, metadata="note=a=b, c") == [fish]
    assert ids(api, metadata="team=b") == []
    assert ids(api, metadata="team=") == []


def test_a_page_should_be_filled_from_far_back(api: httpx.Client, ledger: Ledger) -> None:
    wanted = created(api, metadata={"team": "birds"})
    for number in range(250):
        ledger.create(f"inj_{number}", "local", spec="s", summary=summary(), timeout_seconds=1)

    assert ids(api, metadata="team=birds") == [wanted]


@pytest.mark.parametrize(
    "query", ["status=asleep", "metadata=team", "metadata==x", "metadata=a b=x", "limit=0"]
)
def test_a_filter_that_makes_no_sense_should_be_refused(api: httpx.Client, query: str) -> None:
    problem(api.get(f"/v1/injections?{query}"), 422, "invalid_request")


@pytest.mark.parametrize("path", LISTS)
def test_a_page_behind_nothing_should_be_not_found(api: httpx.Client, path: str) -> None:
    document = problem(api.get(path, params={"after": "inj_gone"}), 404, "not_found")

    assert pointers(document) == ["/after"]
    assert "inj_gone" in document["detail"]


@pytest.mark.parametrize(
    ("metadata", "pointer"),
    [
        ({"k" * 65: "v"}, "/metadata/" + "k" * 65),
        ({"a/b": "v"}, "/metadata/a~1b"),
        ({"": "v"}, "/metadata/"),
        ({"k": "v" * 513}, "/metadata/k"),
        ({"k": 1}, "/metadata/k"),
        ({str(number): "v" for number in range(17)}, "/metadata"),
        (["k"], "/metadata"),
    ],
)
def test_metadata_beyond_its_bounds_should_be_refused_where_it_is(
    api: httpx.Client, metadata: object, pointer: str
) -> None:
    response = submit(api, injection(metadata=metadata))

    assert pointers(problem(response, 422, "invalid_request")) == [pointer]


def test_metadata_should_come_back_as_it_was(api: httpx.Client) -> None:
    metadata = {f"key.{number}": "ü" * 512 for number in range(16)}

    job = created(api, metadata=metadata)

    assert api.get(f"/v1/injections/{job}").json()["metadata"] == metadata


def test_every_object_should_have_a_kind_and_a_prefixed_id(api: httpx.Client) -> None:
    head = submit(api, {"class_names": class_names()}, to="/v1/heads").json()
    job = submit(api).json()

    assert (head["object"], head["id"].partition("_")[0]) == ("head", "head")
    assert (job["object"], job["id"].partition("_")[0]) == ("injection", "inj")
    for path in (*LISTS, "/v1/methods", "/v1/encoders", f"/v1/injections/{job['id']}/events/list"):
        page = api.get(path).json()
        assert page["object"] == "list"
        assert all(one["object"] for one in page["data"])

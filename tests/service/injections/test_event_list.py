"""The events as a list: the same as the stream's, page by page."""

from typing import Any

import httpx
import pytest

from tests.ledger import Ledger
from tests.service.files import pointers, problem
from tests.service.injections.test_events import follow, run
from tests.service.injections.test_routes import created


def test_the_list_should_say_what_the_stream_says(api: httpx.Client, ledger: Ledger) -> None:
    job = created(api)
    run(ledger, job, 20)
    listed: list[dict[str, Any]] = []
    page: dict[str, Any] = {"has_more": True}
    while page["has_more"]:
        after = {"after": listed[-1]["id"]} if listed else {}
        params = {"limit": "7", **after}
        page = api.get(f"/v1/injections/{job}/events/list", params=params).json()
        listed += page["data"]

    streamed = follow(api, job)

    assert [one["id"] for one in listed] == [one["id"] for one in streamed]
    assert [one["data"] for one in listed] == [one["data"] for one in streamed]
    assert [one["type"] for one in listed] == [one["event"] for one in streamed]
    assert {one["object"] for one in listed} == {"event"}
    assert listed[0]["created_at"].endswith("Z")


@pytest.mark.parametrize("after", ["x", "-", "1-2-3", "99999999999999999999-0"])
def test_an_event_id_of_nobodys_should_be_refused(api: httpx.Client, after: str) -> None:
    response = api.get(f"/v1/injections/{created(api)}/events/list", params={"after": after})

    assert pointers(problem(response, 422, "invalid_request")) == ["/after"]


def test_the_events_of_nobodys_job_should_be_not_found(api: httpx.Client) -> None:
    problem(api.get("/v1/injections/inj_none/events/list"), 404, "not_found")

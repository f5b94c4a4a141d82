"""Two owners, every call of the API's document: what is another's is not found."""

import copy
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr

from headgraft.service.app import create_app
from headgraft.service.config import ServiceSettings
from headgraft.workers.store import Store
from tests.ledger import Ledger
from tests.processes import Processes
from tests.service.files import problem
from tests.service.web.owned import (
    MAKERS,
    REFERENCES,
    Operation,
    Owner,
    call,
    document,
    make,
    operations,
    unknown,
    untestable,
)

DOCUMENT = document()
EVERY = operations(DOCUMENT)
WITH_ID = [one for one in EVERY if one.places]
LISTS = [one for one in EVERY if not one.places and one.method == "get"]
PAGED = [
    one for one in LISTS if any(each["name"] == "after" for each in one.about.get("parameters", []))
]


def named(every: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", every, ids=[one.name for one in every])


@pytest.fixture
def owner(keyed_api: Processes, ada: httpx.Client, ledger: Ledger) -> Owner:
    """Return ada, who has something."""
    return Owner(ada, "ada", ledger, Store(f"file://{keyed_api.store_folder}"))


def told(response: httpx.Response, ids: dict[str, str]) -> str:
    """Return what a 404 says, without the ids it was asked for."""
    if response.request.method == "HEAD":
        assert response.status_code == 404
        return ""
    detail = str(problem(response, 404, "not_found")["detail"])
    for name in ids.values():
        detail = detail.replace(name, "ID")
    return detail


def state(ledger: Ledger) -> dict[str, bytes | None]:
    """Return the whole keyspace, but for what counts the time."""
    return {key: ledger.client.dump(key) for key in sorted(ledger.client.scan_iter("*"))}


def test_every_call_with_an_id_should_be_tested() -> None:
    assert untestable(DOCUMENT) == []


@pytest.mark.parametrize(
    ("path", "about", "told"),
    [
        ("/v1/widgets/{id}", {}, "getIt: MAKERS lacks /v1/widgets/{id}"),
        ("/v1/heads/{id}/parts/{part}", {}, "getIt: MAKERS lacks /v1/heads/{id}/parts/{part}"),
        ("/v1/heads/{id}/copy", {"requestBody": {}}, "getIt: BODIES lacks it"),
        ("/v1/widgets", {"parameters": [{"name": "owner_id"}]}, "REFERENCES lacks owner_id"),
    ],
)
def test_a_planted_call_should_be_missed(path: str, about: dict[str, Any], told: str) -> None:
    planted = copy.deepcopy(DOCUMENT)
    planted["paths"][path] = {"get": {"operationId": "getIt", **about}}
    assert untestable(planted) == [told]


def test_no_call_with_an_id_should_be_missing_in_the_document() -> None:
    settings = ServiceSettings(redis_url=SecretStr("redis://nowhere"), store_url="s3://bucket")
    served = {
        (method.lower(), route.path)
        for route in iter_route_contexts(create_app(settings).routes)
        if route.path and "{" in route.path
        for method in route.methods or ()
    }
    assert served == {(one.method, one.path) for one in WITH_ID}


@named(WITH_ID)
def test_anothers_id_should_be_not_found(
    owner: Owner, grace: httpx.Client, operation: Operation
) -> None:
    """Each id of the path in turn is ada's; the answer is that to an id that never was."""
    ids = make(owner, operation)
    nobodys = {place: unknown(name) for place, name in ids.items()}
    before = state(owner.ledger)

    hers = call(grace, operation, ids)
    expected = call(grace, operation, nobodys)

    assert told(hers, ids) == told(expected, nobodys)
    assert state(owner.ledger) == before
    with owner.client.stream(operation.method, str(hers.request.url)) as own:
        assert own.status_code not in (401, 404), "the test proves nothing: it is not hers either"


@named(LISTS)
def test_no_list_should_show_what_is_anothers(
    owner: Owner, grace: httpx.Client, operation: Operation
) -> None:
    made = [maker(owner) for maker in MAKERS.values()]

    seen = call(grace, operation, {})

    assert seen.status_code == 200
    assert [name for name in made if name in seen.text] == []


@named(PAGED)
def test_anothers_id_should_be_no_place_in_a_list(
    owner: Owner, grace: httpx.Client, operation: Operation
) -> None:
    for maker in MAKERS.values():
        theirs = maker(owner)
        hers, nobodys = (
            told(call(grace, operation, {}, params={"after": name}), {"after": name})
            for name in (theirs, unknown(theirs))
        )
        assert hers == nobodys


@pytest.mark.parametrize("field", REFERENCES)
def test_anothers_id_in_a_request_should_be_like_one_that_never_was(
    owner: Owner, grace: httpx.Client, field: str
) -> None:
    """A request that names it is a 404 that points at the place."""
    theirs, own_head = REFERENCES[field](owner), REFERENCES["head_id"]
    base = {"head_id": own_head(Owner(grace, "grace", owner.ledger, owner.store)), "add": ["new"]}

    answers = [
        grace.post("/v1/injections", json={**base, field: name})
        for name in (theirs, unknown(theirs))
    ]

    documents = [problem(one, 404, "not_found") for one in answers]
    assert [one["errors"][0]["pointer"] for one in documents] == [f"/{field}"] * 2
    details = [str(one["detail"]) for one in documents]
    assert details[0].replace(theirs, "") == details[1].replace(unknown(theirs), "")
    hers = {"head_id": own_head(owner), "add": ["new"], field: theirs}
    assert owner.client.post("/v1/injections", json=hers).status_code == 202

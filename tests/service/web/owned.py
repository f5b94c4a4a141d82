"""What an owner can have, made for real, by the place of its id in the API's paths.

Whoever adds a route with an id adds here how one is made; the tests of two owners fail until then.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from headgraft.service.app import create_app
from headgraft.service.config import ServiceSettings
from headgraft.workers.store import Store
from tests.ledger import Ledger
from tests.service.files import class_names, submit
from tests.service.injections.test_routes import begin, created, succeed
from tests.service.uploads import feature_files

PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Owner:
    """An owner's client, and where the server keeps what it gets."""

    client: httpx.Client
    name: str
    ledger: Ledger
    store: Store


def _injection(owner: Owner) -> str:
    job = created(owner.client)
    begin(owner.ledger, job)
    succeed(owner.ledger, owner.store, job, owner.name)
    return job


def _head(owner: Owner) -> str:
    reply = submit(owner.client, {"class_names": class_names()}, to="/v1/heads")
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


def _webhook(owner: Owner) -> str:
    # Written as an address, so that no name server is asked; it is public, and never called.
    reply = owner.client.post("/v1/webhooks", json={"url": "https://93.184.215.14/hook"})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


def _features(owner: Owner) -> str:
    return feature_files.upload(owner.client)


# The path to an id, with the ids before it as they are: how one is made there.
MAKERS: dict[str, Callable[[Owner], str]] = {
    "/v1/injections/{id}": _injection,
    "/v1/heads/{id}": _head,
    "/v1/features/{id}": _features,
    "/v1/webhooks/{id}": _webhook,
}
# Operations with an id that want a body: a sound one.
BODIES: dict[str, Any] = {"rotateWebhook": {"overlap_seconds": 60}}
# Names of ids within a request's body, or its query: how one is made.
REFERENCES: dict[str, Callable[[Owner], str]] = {"head_id": _head, "features_id": _features}


@dataclass(frozen=True)
class Operation:
    """One call of the document."""

    name: str
    method: str
    path: str
    about: dict[str, Any]

    @property
    def places(self) -> list[str]:
        """The path to each id in this path, in order."""
        return [self.path[: found.end()] for found in PARAMETER.finditer(self.path)]


def document() -> dict[str, Any]:
    """Return the API's document; nothing is opened or asked for that."""
    settings = ServiceSettings(redis_url=SecretStr("redis://nowhere"), store_url="s3://bucket")
    return create_app(settings).openapi()


def operations(described: dict[str, Any]) -> list[Operation]:
    """Return every call of a document."""
    return [
        Operation(about["operationId"], method, path, about)
        for path, methods in described["paths"].items()
        for method, about in methods.items()
    ]


def untestable(described: dict[str, Any]) -> list[str]:
    """Say of each call what is missing to try it with another owner's id."""
    found = []
    for one in operations(described):
        found += [
            f"{one.name}: MAKERS lacks {place}" for place in one.places if place not in MAKERS
        ]
        if one.places and "requestBody" in one.about and one.name not in BODIES:
            found.append(f"{one.name}: BODIES lacks it")
    named = {name for name in _names(described) if name.endswith("_id") and name not in NO_IDS}
    return found + [f"REFERENCES lacks {name}" for name in sorted(named - set(REFERENCES))]


# Of the request itself, not of an object.
NO_IDS = frozenset({"request_id"})


def _names(described: dict[str, Any]) -> Iterator[str]:
    """Yield the names of everything that a client can send or hear."""
    for one in operations(described):
        yield from (each["name"] for each in one.about.get("parameters", []))
    for schema in described["components"]["schemas"].values():
        yield from schema.get("properties", {})


def make(owner: Owner, operation: Operation) -> dict[str, str]:
    """Make what an operation's path names; return place -> id."""
    return {place: MAKERS[place](owner) for place in operation.places}


def call(
    client: httpx.Client, operation: Operation, ids: dict[str, str], **options: Any
) -> httpx.Response:
    """Make a call with these ids in its path."""
    names = iter(ids.values())
    path = PARAMETER.sub(lambda _: next(names), operation.path)
    if operation.name in BODIES:
        options["json"] = BODIES[operation.name]
    return client.request(operation.method, path, **options)


def unknown(name: str) -> str:
    """Return an id that looks like another, and is nobody's."""
    return name[:-4] + ("0000" if name[-4:] != "0000" else "1111")

"""What is installed, as the API tells it."""

from typing import Any

import httpx

from headgraft.workers.jobs.presence import EncoderPresence, Presence
from tests.ledger import Ledger


def test_every_method_should_be_listed_with_the_schema_of_its_settings(api: httpx.Client) -> None:
    listed = api.get("/v1/methods").json()

    methods = {one["name"]: one for one in listed["data"]}
    assert listed["object"] == "list"
    assert "ridge" in methods
    assert methods["ridge"]["needs"] == []
    gamma = methods["ridge"]["settings"]["properties"]["gamma"]
    assert gamma["description"]
    assert gamma["default"] > 0


def test_encoders_should_be_those_of_the_workers_online(api: httpx.Client, ledger: Ledger) -> None:
    assert api.get("/v1/encoders").json() == {"object": "list", "data": []}
    minilm: dict[str, Any] = {"dimension": 384, "digest": "d1"}
    clip: dict[str, Any] = {"dimension": 512, "digest": "d2"}

    all_of_them = {"minilm": EncoderPresence(**minilm), "clip": EncoderPresence(**clip)}
    ledger.announce(
        Presence(name="a", device="cpu", encoders={"minilm": EncoderPresence(**minilm)})
    )
    ledger.announce(Presence(name="b", device="cuda:0", encoders=all_of_them))

    assert api.get("/v1/encoders").json()["data"] == [
        {"object": "encoder", "name": "clip", **clip, "workers": 1},
        {"object": "encoder", "name": "minilm", **minilm, "workers": 2},
    ]
    ledger.withdraw("b")
    assert [one["name"] for one in api.get("/v1/encoders").json()["data"]] == ["minilm"]

"""Pictures of a user's network: what of them is sent, by whom, and what stays as it was."""

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from headgraft import AsyncHeadgraft, Headgraft, HeadgraftError
from headgraft.service.schemas.injections import InjectionResource
from headgraft.workers.pictures import generic
from tests import checkpoints, pictures
from tests.processes import Processes
from tests.service.client import networks

CLASSES = 20
ADD = checkpoints.class_names(2, "new")
OPTIONS: dict[str, Any] = {
    "class_names": checkpoints.class_names(CLASSES),
    "class_embeddings": checkpoints.vectors(CLASSES, len(ADD)),
    "method": "ridge",
}
GRAFTED = CLASSES + len(ADD)


@pytest.fixture(autouse=True)
def few_crops(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(generic, "CROPS", 2 * len(generic.PICTURES))
    return generic.CROPS


@pytest.fixture
def client(product: Processes) -> Iterator[Headgraft]:
    with Headgraft(product.url) as client:
        before = client.features()
        yield client
        assert client.features() == before  # of what was sent nothing is left


@pytest.fixture
def network() -> nn.Module:
    return networks.timm_network("test_resnet", CLASSES)


def inject(client: Headgraft, network: nn.Module, **options: Any) -> InjectionResource:
    """Add classes, and return the injection as it ended."""
    heard: list[InjectionResource] = []
    client.inject(network, ADD, on_progress=heard.append, **{**OPTIONS, **options})
    assert heard[-1].status == "succeeded"
    return heard[-1]


def test_a_network_should_be_shown_generic_pictures_unless_told_otherwise(
    client: Headgraft, network: nn.Module, few_crops: int
) -> None:
    ended = inject(client, network.train())

    assert ended.features
    assert (ended.features.count, ended.features.labelled) == (few_crops, 0)
    assert ended.features.generic
    assert network.training
    assert network.get_parameter("fc.weight").shape[0] == GRAFTED


def test_pictures_of_a_users_own_should_take_the_place_of_generic_ones(
    client: Headgraft, network: nn.Module, tmp_path: Path
) -> None:
    folder = pictures.write(tmp_path, classes=2, each=2)

    ended = inject(client, network, pictures=folder)

    assert ended.features
    assert (ended.features.count, ended.features.generic) == (4, False)


@pytest.mark.parametrize(
    "options",
    [{"pictures": None}, {"calibration": {"enabled": False}}],
    ids=["as it was asked", "where nothing is calibrated"],
)
def test_no_picture_should_be_shown(
    client: Headgraft, network: nn.Module, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert inject(client, network, **options).features is None
    assert not warnings_of_pictures(caplog)


class Plain(nn.Module):
    """A network that says nothing of how it wants its pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, CLASSES)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.fc(batch.mean(dim=(2, 3)))  # type: ignore[no-any-return]


def warnings_of_pictures(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was said of pictures that were not used; the report's own words come beside."""
    return [
        record.getMessage()
        for record in caplog.records
        if "calibrated without pictures" in record.getMessage()
        and (record.name, record.levelno) == ("headgraft.client", logging.WARNING)
    ]


def warned(caplog: pytest.LogCaptureFixture) -> str:
    [text] = warnings_of_pictures(caplog)
    return text


def test_a_network_that_does_not_say_how_it_wants_pictures_should_be_told_how_to(
    client: Headgraft, caplog: pytest.LogCaptureFixture
) -> None:
    assert inject(client, Plain()).features is None

    text = warned(caplog)
    assert "calibrated without pictures: Plain does not say how it wants its pictures" in text
    assert "give preprocess=" in text


def test_what_is_missing_should_be_named_with_the_extra_that_brings_it(
    client: Headgraft,
    network: nn.Module,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)

    assert inject(client, network).features is None

    assert "pictures need more than the client: pip install 'headgraft[pictures]'" in warned(caplog)


def test_a_network_that_fails_on_generic_pictures_should_be_grafted_without(
    client: Headgraft, caplog: pytest.LogCaptureFixture
) -> None:
    assert inject(client, Plain(), preprocess=lambda _: torch.zeros(2, 8, 8)).features is None

    assert "without pictures: RuntimeError: " in warned(caplog)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pictures": "/nowhere/at/all"}, "/nowhere/at/all has no picture"),
        ({"pictures": [3], "preprocess": abs}, "a picture cannot be a int"),
        ({"pictures": [torch.zeros(3, 9, 9)], "features_id": "feat_x"}, "takes their place"),
        (
            {"pictures": [torch.zeros(3, 9, 9)], "calibration": {"enabled": False}},
            "nothing would use the pictures: calibration is off",
        ),
    ],
)
def test_pictures_that_cannot_be_used_should_be_refused_before_anything_is_sent(
    client: Headgraft, options: dict[str, Any], says: str
) -> None:
    network, before = Plain(), client.injections(limit=1)

    with pytest.raises(HeadgraftError, match=says) as caught:
        client.inject(network, ADD, **{**OPTIONS, **options})

    assert (caught.value.code, caught.value.status) == ("invalid_pictures", None)
    assert client.injections(limit=1) == before
    assert network.fc.out_features == CLASSES


def test_an_error_of_the_network_on_a_users_own_pictures_should_be_raised_as_it_is(
    client: Headgraft,
) -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        client.inject(Plain(), ADD, pictures=[torch.zeros(2, 9, 9)], **OPTIONS)


def test_a_program_with_an_event_loop_should_go_on_meanwhile(product: Processes) -> None:
    loop_thread = threading.get_ident()
    shown_in: list[int] = []

    class Watched(Plain):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            shown_in.append(threading.get_ident())
            return super().forward(batch)

    async def graft() -> None:
        async with AsyncHeadgraft(product.url) as client:
            batch = torch.rand(4, 3, 9, 9)
            await client.inject(Watched(), ADD, pictures=[batch], **OPTIONS)

    asyncio.run(graft())
    assert shown_in
    assert loop_thread not in shown_in

"""What every method in the catalogue must keep to."""

import dataclasses
import threading
from functools import cache
from typing import Any

import pytest
import torch
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from headgraft.models import catalogue
from headgraft.models.embeddings.text_tower import TextTower
from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import CalibrationFeatures
from headgraft.models.heads.head import Head
from headgraft.models.progress import Progress, Stopped
from headgraft.models.task import Attributes, Task
from tests.models import builders
from tests.models.builders import make_head
from tests.models.small_constants import SHRINK
from tests.models.towers import make_tower
from tests.region_features import RegionsInMemory

# A training method at full size would take minutes: these settings, and the constants of SHRINK.
SMALL: dict[str, dict[str, Any]] = {
    "dfzsl": {"filter_by_head": False},
    "icis": {"epochs": 3},
    "msdn": {"epochs": 2},
}
# Methods that make each row from its own class embedding and the seen classes.
ALONE = ["clip_text", "costa", "ridge", "smo", "wavg"]
HEADS = {
    "linear with bias": lambda: make_head(),
    "linear without bias": lambda: make_head(bias=False),
    "cosine": lambda: make_head(bias=False, metric="cosine"),
    "float16": lambda: make_head(dtype=torch.float16),
    "float64": lambda: make_head(dtype=torch.float64),
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for shrink in SHRINK.values():
        shrink(monkeypatch)


@cache
def tower() -> TextTower:
    return make_tower(size=6)


def make_task(head: Head | None = None, size: int = 6) -> Task:
    """Make a task that meets every method's needs."""
    generator = torch.Generator().manual_seed(3)
    return dataclasses.replace(
        builders.make_task(head, size=size),
        text_tower=tower(),
        attributes=Attributes(torch.randn(size, 3, generator=generator)),
        regions=builders.make_regions(),
    )


@pytest.fixture(params=catalogue.names())
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(
    params=[name for name in catalogue.names() if catalogue.method(name).head == "rows"]
)
def rows_name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(params=HEADS)
def task(request: pytest.FixtureRequest) -> Task:
    return make_task(HEADS[request.param](), size=6)


def run(name: str, task: Task, progress: Progress | None = None) -> Head:
    parsed = catalogue.row_method(name).parse(SMALL.get(name, {}))
    return parsed.synthesize(task, device="cpu", progress=progress or Progress())


def made(name: str, task: Task, progress: Progress | None = None) -> list[torch.Tensor]:
    """Return all tensors of what a method of any kind makes."""
    if catalogue.method(name).head == "rows":
        return [run(name, task, progress).rows]
    parsed = catalogue.method(name).parse(SMALL.get(name, {}))
    head = parsed.synthesize(task, device="cpu", progress=progress or Progress())
    assert not isinstance(head, Head)
    return [*head.state_dict().values(), head.offsets_C]


def test_it_should_return_one_finite_row_per_unseen_class_in_order(
    rows_name: str, task: Task
) -> None:
    head = run(rows_name, task)

    assert head.class_names == task.unseen_class_names
    assert head.weight.shape == (4, 6)
    assert head.rows.dtype == torch.float32
    assert head.rows.device.type == "cpu"
    assert torch.isfinite(head.rows).all()


def test_it_should_return_a_head_of_the_seen_heads_kind(rows_name: str, task: Task) -> None:
    head = run(rows_name, task)

    assert (head.bias is None) == (task.head.bias is None)
    assert (head.metric, head.scale) == (task.head.metric, task.head.scale)


def test_it_should_do_the_same_twice(name: str, task: Task) -> None:
    assert all(map(torch.equal, made(name, task), made(name, task)))


def test_it_should_leave_its_inputs_untouched(name: str, task: Task) -> None:
    before = [tensor.clone() for tensor in tensors_of(task)]

    made(name, task)

    assert all(map(torch.equal, before, tensors_of(task)))


def test_it_should_draw_nothing_from_the_process_wide_generator(name: str) -> None:
    before = torch.get_rng_state()

    made(name, make_task(size=6))

    assert torch.equal(torch.get_rng_state(), before)


def test_it_should_stop_within_one_step(name: str) -> None:
    should_stop, calls = threading.Event(), 0

    def stop_at_once(_fraction: float, _stage: str, _loss: float | None) -> None:
        nonlocal calls
        calls += 1
        should_stop.set()

    with pytest.raises(Stopped):
        made(name, make_task(size=6), Progress(stop_at_once, should_stop))

    assert calls == 1


def test_it_should_report_fractions_that_never_fall(name: str) -> None:
    fractions: list[float] = []

    made(
        name,
        make_task(size=6),
        Progress(lambda fraction, _stage, _loss: fractions.append(fraction)),
    )

    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] <= 1


@pytest.mark.parametrize("method", ALONE)
def test_a_row_should_not_depend_on_the_other_unseen_classes(method: str, task: Task) -> None:
    alone = dataclasses.replace(
        task,
        unseen_class_embeddings_UA=task.unseen_class_embeddings_UA[2:3],
        unseen_class_names=task.unseen_class_names[2:3],
    )

    torch.testing.assert_close(run(method, alone).rows[0], run(method, task).rows[2])


@pytest.mark.parametrize("method", ALONE)
def test_permuted_unseen_classes_should_get_permuted_rows(method: str, task: Task) -> None:
    torch.testing.assert_close(run(method, permuted(task)).rows, run(method, task).rows.flip(0))


def test_icis_should_be_equivariant_when_one_batch_holds_every_class(task: Task) -> None:
    # With smaller batches the order decides which classes share a step, so only the
    # distribution over seeds is the same.
    parsed = catalogue.row_method("icis").parse({"epochs": 5})

    rows = [
        parsed.synthesize(one, device="cpu", progress=Progress()).rows
        for one in (task, permuted(task))
    ]

    torch.testing.assert_close(rows[1], rows[0].flip(0), rtol=1e-3, atol=1e-5)


def test_it_should_refuse_a_setting_it_does_not_have(name: str) -> None:
    with pytest.raises(InjectionError, match="no setting 'sparkle'") as caught:
        catalogue.method(name).parse({"sparkle": 1})

    assert caught.value.pointer == "/settings/sparkle"


def test_every_setting_should_have_a_default_a_description_and_bounds(name: str) -> None:
    schema = settings_of(name).model_json_schema()

    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    for field, described in schema["properties"].items():
        assert "default" in described, field
        assert described.get("description"), field
        for kind in described.get("anyOf", [described]):
            if kind.get("type") in ("number", "integer"):
                assert {"minimum", "exclusiveMinimum"} & set(kind), field
                assert {"maximum", "exclusiveMaximum"} & set(kind), field


def test_the_defaults_should_satisfy_the_schema(name: str) -> None:
    settings = settings_of(name)

    Draft202012Validator(settings.model_json_schema()).validate(settings().model_dump())


def test_it_should_expect_more_seconds_of_more_classes(name: str) -> None:
    parsed, small = catalogue.method(name).parse(SMALL.get(name, {})), make_task(size=6)
    large = make_task(make_head(classes=2000), size=6)

    seconds = parsed.expected_seconds(small, "cpu")

    assert (0 < seconds < 60) or parsed.method.expected_seconds is None
    # msdn trains on the pictures there are, whatever the number of classes.
    more = parsed.expected_seconds(large, "cpu")
    assert seconds < more or name == "msdn" or parsed.method.expected_seconds is None


def test_what_trains_in_steps_should_say_how_long(name: str) -> None:
    method = catalogue.method(name)
    assert not method.iterative or method.expected_seconds


def settings_of(name: str) -> type[BaseModel]:
    return catalogue.method(name).settings


def tensors_of(task: Task) -> list[torch.Tensor]:
    assert task.attributes is not None
    assert isinstance(task.regions, RegionsInMemory)
    given = [task.head.rows, task.class_embeddings_SA, task.unseen_class_embeddings_UA]
    regions = [task.regions.features_NDR, task.regions.labels_N]
    return [*given, task.attributes.vectors_AV, *regions]


def permuted(task: Task) -> Task:
    return dataclasses.replace(
        task,
        unseen_class_embeddings_UA=task.unseen_class_embeddings_UA.flip(0),
        unseen_class_names=task.unseen_class_names[::-1],
    )


def test_a_method_that_takes_features_should_train_on_them() -> None:
    pictures = CalibrationFeatures(torch.randn(24, 6) + 1, torch.arange(24) % 12, 1.0)
    takers = [name for name in catalogue.names() if "features" in catalogue.method(name).takes]

    for taker in takers:
        task = make_task()
        assert not torch.equal(
            run(taker, dataclasses.replace(task, features=pictures)).rows, run(taker, task).rows
        ), taker

    assert takers == ["dfzsl", "ship", "zlap"]

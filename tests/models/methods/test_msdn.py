"""MSDN on a made task in which it is known where attributes are seen, and at its edges."""

import dataclasses

import pytest
import torch

from headgraft.models.errors import InjectionError
from headgraft.models.heads.attribute import AttributeHead
from headgraft.models.methods.msdn.method import synthesize
from headgraft.models.methods.msdn.settings import MsdnSettings
from headgraft.models.metrics import evaluate
from headgraft.models.progress import Progress
from headgraft.models.task import Attributes, Task
from tests.benchmarks.msdn import attention_over_uniform
from tests.models.builders import make_regions, make_task
from tests.models.planted_regions import Plan, Planted, plant


def run(task: Task, **settings: object) -> AttributeHead:
    parsed = MsdnSettings.model_validate(settings)
    return synthesize(task, parsed, device="cpu", progress=Progress())


def small_task(**fields: object) -> Task:
    """Make a task of 12 seen and 4 unseen classes with 48 random pictures."""
    known = {"attributes": Attributes(torch.eye(5)), "regions": make_regions()}
    return dataclasses.replace(make_task(), **{**known, **fields})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant(Plan(seen=30, unseen=6, each=6, noise=0.5), seed=2)


@pytest.fixture(scope="module")
def learned(planted: Planted) -> AttributeHead:
    return run(planted.task)


def test_unseen_combinations_of_attributes_should_be_told_apart(
    planted: Planted, learned: AttributeHead
) -> None:
    found = evaluate(learned, planted.test.features_NDR, planted.test.labels_N, planted.unseen_C)

    assert found.T1 > 0.7
    assert found.H > 0.6


def test_averaged_features_should_tell_much_less(planted: Planted, learned: AttributeHead) -> None:
    poor = planted.averaged()
    averaged = run(poor.task)

    rich, plain = (
        evaluate(head, of.test.features_NDR, of.test.labels_N, of.unseen_C).T1
        for head, of in ((learned, planted), (averaged, poor))
    )

    assert rich > plain + 0.2


def test_attributes_should_be_looked_for_where_they_are(
    planted: Planted, learned: AttributeHead
) -> None:
    assert attention_over_uniform(planted, learned) > 3


def test_what_was_held_out_should_be_told(learned: AttributeHead) -> None:
    assert set(learned.hold_out) == {"T1", "u", "s", "H"}
    assert learned.hold_out["T1"] > 0.5


def test_the_head_should_hold_all_classes_seen_first() -> None:
    task = small_task()
    head = run(task, epochs=1)

    assert head.class_names == task.head.class_names + task.unseen_class_names
    assert head.seen_count == 12
    torch.testing.assert_close(head.class_attributes_CA.norm(dim=1), torch.ones(16))


def test_constants_that_are_given_should_be_kept() -> None:
    head = run(small_task(), epochs=1, alpha=0.25, margin=3.0)

    assert (head.alpha, head.margin) == (0.25, 3.0)


def test_the_papers_preset_should_walk_all_epochs_and_hold_nothing_out() -> None:
    told: list[float] = []
    task = small_task()

    head = synthesize(
        task, MsdnSettings.model_validate({"preset": "paper", "epochs": 2}), device="cpu",
        progress=Progress(lambda fraction, _stage, _loss: told.append(fraction)),
    )  # fmt: skip

    assert (head.alpha, head.margin, head.hold_out) == (0.9, 1.0, {})
    assert told == [0.0, 0.5, 1.0]  # one batch an epoch


@pytest.mark.parametrize(("nets", "alpha"), [("regions", 1.0), ("attributes", 0.0)])
def test_a_single_net_should_have_all_the_say(nets: str, alpha: float) -> None:
    assert run(small_task(), epochs=1, nets=nets).alpha == alpha


def test_another_seed_should_give_another_head() -> None:
    one, other = (run(small_task(), epochs=1, seed=seed) for seed in (0, 1))

    assert not torch.equal(one.maps.region_scores_AD, other.maps.region_scores_AD)


@pytest.mark.parametrize("missing", ["regions", "attributes"])
def test_a_task_without_regions_or_attributes_should_be_refused(missing: str) -> None:
    with pytest.raises(InjectionError, match="needs region features and attributes"):
        run(small_task(**{missing: None}))


def test_a_class_without_a_positive_attribute_should_be_named() -> None:
    task = small_task(unseen_class_embeddings_UA=-torch.ones(4, 5))

    with pytest.raises(InjectionError, match="class 'class 0' has no attribute above 0"):
        run(task, zero_negatives=True)

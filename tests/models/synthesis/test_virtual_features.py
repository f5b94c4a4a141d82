"""Virtual features: what they are learned from, which are kept, and what they are worth."""

import threading
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import LabelledFeatures
from headgraft.models.heads.head import Head
from headgraft.models.progress import Progress, Stopped, ignore
from headgraft.models.synthesis.virtual_features import (
    LearnedDirections,
    VirtualFeaturesConfig,
    draw,
    learn_directions,
    query_directions,
    virtual_features,
)
from tests.models.builders import make_head

FAST = VirtualFeaturesConfig(steps=150, draws=10, count=30)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cosine_head(classes: int = 8, features: int = 32) -> Head:
    return make_head(classes, features, bias=False, metric="cosine")


def near(head: Head, noise: float = 1.0) -> Tensor:
    """Return what a text encoder might say of the head's classes: its rows, blurred."""
    blur_SD = normalize(torch.randn(head.weight.shape, generator=generator(9)))
    return normalize(query_directions(head) + noise * blur_SD)


def learn(
    head: Head, config: VirtualFeaturesConfig = FAST, start_SD: Tensor | None = None
) -> LearnedDirections:
    start_SD = near(head) if start_SD is None else start_SD
    return learn_directions(head, start_SD, config, ignore, generator())


def test_asked_only_the_directions_should_come_to_answer_like_the_head() -> None:
    head = cosine_head()
    start_SD = near(head)

    learned = learn(head, start_SD=start_SD)

    before_S = (start_SD * query_directions(head)).sum(dim=1)
    after_S = (learned.directions_SD * query_directions(head)).sum(dim=1)
    assert learned.losses[-1] < learned.losses[0] / 20
    assert before_S.max() < 0.9
    assert after_S.min() > 0.97


def test_by_the_heads_own_gradient_its_loss_on_the_draws_should_fall() -> None:
    head = cosine_head()

    learned = learn(head, replace(FAST, mode="white_box"))

    assert learned.losses[-1] < learned.losses[0] - 0.1
    assert (learned.directions_SD * query_directions(head)).sum(dim=1).mean() > 0.75


def test_directions_should_be_unit_and_kappa_that_of_the_starts() -> None:
    head = cosine_head()
    start_SD = near(head)

    learned = learn(head, replace(FAST, steps=2), 7 * start_SD)

    torch.testing.assert_close(learned.directions_SD.norm(dim=1), torch.ones(8))
    closest = (start_SD @ start_SD.T).fill_diagonal_(-1).max().arccos()
    assert learned.kappa == pytest.approx(36 / float(closest) ** 2, rel=1e-4)


def test_a_kappa_that_is_given_should_stay() -> None:
    assert learn(cosine_head(), replace(FAST, steps=1, kappa=77.0)).kappa == 77.0


def test_kept_features_should_be_unit_and_recognised_by_the_head_as_labelled() -> None:
    head = cosine_head()

    virtual = made(head, replace(FAST, kappa=30.0))

    assert torch.equal(head.logits(virtual.features_NF).argmax(dim=1), virtual.labels_N)
    torch.testing.assert_close(
        virtual.features_NF.norm(dim=1), torch.ones(len(virtual.features_NF))
    )


def test_draws_that_the_head_takes_for_another_class_should_be_dropped() -> None:
    virtual = made(cosine_head(), replace(FAST, kappa=15.0))

    assert 0 < virtual.counts(8).min() < 30


def test_without_the_filter_every_draw_should_be_kept() -> None:
    virtual = made(cosine_head(), replace(FAST, kappa=15.0, filter_by_head=False))

    assert virtual.counts(8).tolist() == 8 * [30]


def test_a_class_that_loses_all_its_draws_should_be_named() -> None:
    head = cosine_head()
    weight_SD = head.weight.clone()
    weight_SD[5] = weight_SD[2]
    twins = Head(weight_SD, None, head.class_names, "cosine", head.scale)

    with pytest.raises(
        InjectionError, match=r"none of the 30 .* class 'class 5'.* 'filter_by_head'"
    ) as e:
        made(twins, FAST)

    assert e.value.code == "no_virtual_features"


def test_more_lost_classes_should_be_counted_and_to_draw_alone_should_not_refuse() -> None:
    head = cosine_head()
    weight_SD = head.weight.clone()
    weight_SD[5:] = weight_SD[2]
    twins = Head(weight_SD, None, head.class_names, "cosine", head.scale)

    virtual = draw(twins, learn(twins), FAST, ignore, generator())

    assert virtual.counts(8)[5:].tolist() == [0, 0, 0]
    with pytest.raises(InjectionError, match=r"'class 5' to it \(2 more classes neither\)"):
        made(twins, FAST)


def test_a_linear_head_should_be_asked_by_the_directions_of_its_centred_rows() -> None:
    head = make_head(8, 32)
    shifted = Head(10 * head.weight + 3, head.bias, head.class_names)

    asked_SD = query_directions(shifted)

    torch.testing.assert_close(asked_SD, normalize(head.weight - head.weight.mean(dim=0)))
    assert made(shifted, FAST).counts(8).min() > 0


def test_a_cosine_heads_bias_should_count_when_draws_are_recognised() -> None:
    head = make_head(8, 32, bias=True, metric="cosine")

    virtual = made(head, FAST)

    assert torch.equal(head.logits(virtual.features_NF).argmax(dim=1), virtual.labels_N)


def test_a_row_without_direction_should_be_refused_by_name() -> None:
    weight_SD = torch.tensor([[1.0, 0], [-1, 0], [0, 0]])

    with pytest.raises(InjectionError, match="row of class 'c' has no direction"):
        query_directions(Head(weight_SD, None, ("a", "b", "c")))


def test_the_same_seed_should_make_the_same_features() -> None:
    assert torch.equal(made(cosine_head()).features_NF, made(cosine_head()).features_NF)
    other = virtual_features(cosine_head(), near(cosine_head()), FAST, ignore, generator(1))
    assert not torch.equal(made(cosine_head()).features_NF[:9], other.features_NF[:9])


def test_a_step_may_draw_for_some_classes_and_still_move_all() -> None:
    learned = learn(cosine_head(), replace(FAST, classes=3, draws=30))

    assert learned.losses[-1] < learned.losses[0] / 20


def test_many_draws_should_be_made_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headgraft.models.synthesis.virtual_features.AT_ONCE", 60)

    virtual = made(cosine_head())

    assert torch.equal(virtual.labels_N, virtual.labels_N.sort().values)
    assert set(virtual.labels_N.tolist()) == set(range(8))


def test_many_answers_should_be_asked_for_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = made(cosine_head())
    monkeypatch.setattr("headgraft.models.synthesis.virtual_features.NUMBERS_MAX", 20)

    parts = made(cosine_head())

    assert torch.equal(parts.features_NF, whole.features_NF)


def test_progress_should_never_fall_and_a_stop_should_be_obeyed_at_once() -> None:
    fractions: list[float] = []
    stop = threading.Event()

    virtual_features(
        cosine_head(), near(cosine_head()), FAST, lambda one, *_: fractions.append(one), generator()
    )

    assert fractions == sorted(fractions)
    assert len(fractions) > FAST.steps
    assert 0 <= fractions[0] <= fractions[-1] <= 1
    with pytest.raises(Stopped):
        virtual_features(
            cosine_head(),
            near(cosine_head()),
            FAST,
            Progress(lambda *_: stop.set(), stop),
            generator(),
        )


def made(head: Head, config: VirtualFeaturesConfig = FAST) -> LabelledFeatures:
    return virtual_features(head, near(head), config, ignore, generator())

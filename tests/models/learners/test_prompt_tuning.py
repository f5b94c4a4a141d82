"""Tuning text features, on features of a head that was made with another prompt."""

import threading
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.embeddings.text_tower import TextTower
from headgraft.models.errors import InjectionError
from headgraft.models.heads.head import Head
from headgraft.models.learners.prompt_tuning import (
    RESIDUAL_WEIGHT,
    PromptTuningConfig,
    TunedText,
    residual_bias,
    tune,
    tune_embeddings,
)
from headgraft.models.progress import Progress, Report, Stopped, ignore
from headgraft.models.synthesis.virtual_features import VirtualFeaturesConfig, virtual_features
from tests.models.towers import make_network, make_tower

NAMES = [
    "cat",
    "dog",
    "owl",
    "bear",
    "lolly",
    "bridge",
    "violin",
    "teapot",
    "castle",
    "tractor",
    "comb",
    "anchor",
]
SEEN = 9
CONFIG = PromptTuningConfig(batch_size=64, steps=40, classes=6)


def head_rows(tower: TextTower, unlike: float = 0.1) -> Tensor:
    """Return the text features (C, D) of another prompt than the one tuning starts from."""
    generator = torch.Generator().manual_seed(7)
    context_4W = tower.context() + unlike * torch.randn(4, tower.width, generator=generator)
    return tower.encode(tower.prompts(NAMES), context_4W)


def features_of(rows_CD: Tensor, count: int = 40) -> tuple[Tensor, Tensor]:
    """Draw features (S * count, D) around the rows of the seen classes, with their labels."""
    labels_N = torch.arange(SEEN).repeat_interleave(count)
    noise_ND = torch.randn(len(labels_N), rows_CD.shape[1], generator=torch.Generator())
    return normalize(rows_CD[labels_N] + 0.02 * noise_ND), labels_N


def noting(losses: list[float] | None) -> Report:
    """Return a report that adds every loss to a list."""

    def report(_fraction: float, _stage: str, loss: float | None) -> None:
        if losses is not None and loss is not None:
            losses.append(loss)

    return report


def run(
    tower: TextTower,
    config: PromptTuningConfig = CONFIG,
    seed: int = 0,
    losses: list[float] | None = None,
) -> TunedText:
    features_ND, labels_N = features_of(head_rows(tower))
    generator = torch.Generator().manual_seed(seed)
    report = noting(losses)
    return tune(tower, NAMES, features_ND, labels_N, config, report, generator, competing=SEEN)


def run_embeddings(
    config: PromptTuningConfig = CONFIG, seed: int = 0, losses: list[float] | None = None
) -> TunedText:
    tower = make_tower()
    features_ND, labels_N = features_of(head_rows(tower))
    text_CD = tower.encode(tower.prompts(NAMES), tower.context())
    generator = torch.Generator().manual_seed(seed)
    return tune_embeddings(
        text_CD, features_ND, labels_N, config, noting(losses), generator, competing=SEEN
    )


def nearness(text_CD: Tensor, rows_CD: Tensor) -> float:
    """Compare the geometry of two sets of text features, common direction aside."""
    one_CD, two_CD = (normalize(part - part.mean(dim=0)) for part in (text_CD, rows_CD))
    return float((one_CD * two_CD).sum(dim=1).mean())


# The random tower that sees padding tells names hardly apart, with any prompt.
@pytest.mark.parametrize(
    ("kind", "share"),
    [("plain", 0.8), ("quick-gelu", 0.8), ("own class token", 0.8), ("sees padding", 0.995)],
)
def test_a_prompt_should_lower_the_loss_on_features_of_a_head_made_with_another(
    kind: str, share: float
) -> None:
    losses: list[float] = []

    run(make_tower(kind), replace(CONFIG, classes=0), losses=losses)

    assert sum(losses[-5:]) / 5 < share * losses[0]


def test_virtual_features_of_such_a_head_should_do_in_place_of_pictures() -> None:
    tower = make_tower()
    rows_SD = head_rows(tower, 0.005)[:SEEN]
    head = Head(rows_SD, None, tuple(NAMES[:SEEN]), "cosine", tower.scale)
    start_SD = tower.encode(tower.prompts(NAMES[:SEEN]), tower.context())
    drawing = VirtualFeaturesConfig(steps=300, count=60)
    virtual = virtual_features(head, start_SD, drawing, ignore, torch.Generator())
    losses: list[float] = []

    tune(
        tower,
        NAMES,
        virtual.features_NF,
        virtual.labels_N,
        replace(CONFIG, classes=0),
        noting(losses),
        torch.Generator(),
        competing=SEEN,
    )

    assert sum(losses[-5:]) / 5 < 0.8 * losses[0]


def test_classes_that_were_not_shown_should_come_nearer_to_the_other_prompts_rows_too() -> None:
    tower = make_tower()
    before_CD = tower.encode(tower.prompts(NAMES), tower.context())

    tuned = run(tower, replace(CONFIG, classes=0, steps=150))

    rows_CD = head_rows(tower)
    assert nearness(tuned.text_CD[SEEN:], rows_CD[SEEN:]) > nearness(
        before_CD[SEEN:], rows_CD[SEEN:]
    )


def test_text_features_should_be_unit_and_those_of_all_classes() -> None:
    for tuned in (run(make_tower()), run_embeddings()):
        assert tuned.text_CD.shape == (12, 16)
        assert not tuned.text_CD.requires_grad
        torch.testing.assert_close(tuned.text_CD.norm(dim=1), torch.ones(12))
        assert tuned.residual_D.shape == (16,)


def test_text_should_be_read_only_of_the_classes_that_are_wanted() -> None:
    tower = make_tower()
    features_ND, labels_N = features_of(head_rows(tower))
    given = (tower, NAMES, features_ND, labels_N, CONFIG, ignore)

    some = tune(*given, torch.Generator(), competing=SEEN, wanted=3)

    every = tune(*given, torch.Generator(), competing=SEEN)
    torch.testing.assert_close(some.text_CD, every.text_CD[-3:])


def test_the_network_should_not_change_nor_gather_gradients() -> None:
    network, tokenizer = make_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    run(TextTower(network, tokenizer))

    for name, parameter in network.named_parameters():
        assert parameter.grad is None, name
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_without_steps_the_text_should_be_that_of_the_initial_prompt() -> None:
    tower = make_tower()

    tuned = run(tower, replace(CONFIG, steps=0))

    expected_CD = tower.encode(tower.prompts(NAMES), tower.context())
    torch.testing.assert_close(tuned.text_CD, expected_CD)
    assert torch.equal(tuned.residual_D, torch.zeros(16))


def test_the_residual_should_be_learned_only_where_it_is_wanted() -> None:
    for tuned in (run(make_tower()), run_embeddings()):
        assert tuned.residual_D.norm() > 0
    for tuned in (
        run(make_tower(), replace(CONFIG, residual=False)),
        run_embeddings(replace(CONFIG, residual=False)),
    ):
        assert torch.equal(tuned.residual_D, torch.zeros(16))


def test_a_bias_should_choose_as_the_residual_does() -> None:
    generator = torch.Generator().manual_seed(0)
    rows_CD = normalize(torch.randn(50, 16, generator=generator))
    features_ND = normalize(torch.randn(400, 16, generator=generator))
    residual_D = 80 * torch.randn(16, generator=generator)

    with_bias_NC = features_ND @ rows_CD.T + residual_bias(rows_CD, residual_D)

    moved_ND = normalize(features_ND + RESIDUAL_WEIGHT * residual_D)
    chosen_N = (moved_ND @ rows_CD.T).argmax(dim=1)
    assert torch.equal(with_bias_NC.argmax(dim=1), chosen_N)
    assert not torch.equal((features_ND @ rows_CD.T).argmax(dim=1), chosen_N)


def test_without_an_encoder_the_embeddings_should_be_moved() -> None:
    losses: list[float] = []

    run_embeddings(replace(CONFIG, classes=0), losses=losses)

    assert sum(losses[-5:]) / 5 < 0.8 * losses[0]


def test_plain_descent_that_decays_should_lower_the_loss_too() -> None:
    config = replace(CONFIG, cosine_decay=True, learning_rate=2e-3, classes=0)

    losses: list[float] = []
    run(make_tower(), config, losses=losses)

    assert sum(losses[-5:]) / 5 < losses[0]


def test_the_same_seed_should_tune_the_same() -> None:
    tower = make_tower()

    assert torch.equal(run(tower).text_CD, run(tower).text_CD)
    assert not torch.equal(run(tower).text_CD, run(tower, seed=1).text_CD)
    assert torch.equal(run_embeddings().text_CD, run_embeddings().text_CD)


def test_without_a_number_of_steps_every_feature_should_be_shown_once() -> None:
    config, losses = PromptTuningConfig(batch_size=25, steps=None, classes=0), list[float]()

    run(make_tower(), config, losses=losses)

    assert config.steps_of(40 * SEEN) == 15
    assert len(losses) == 15 - 1  # the last one is not reported


def test_fractions_should_never_fall_and_losses_be_told() -> None:
    told: list[tuple[float, str, float | None]] = []
    tower = make_tower()
    features_ND, labels_N = features_of(head_rows(tower))

    def report(fraction: float, stage: str, loss: float | None) -> None:
        told.append((fraction, stage, loss))

    tune(tower, NAMES, features_ND, labels_N, CONFIG, report, torch.Generator(), competing=SEEN)

    fractions = [fraction for fraction, _, _ in told]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] <= 1
    assert [stage for _, stage, _ in told] == ["tuning text"] * 40 + ["reading text"]
    assert told[1][2] is not None


def test_it_should_stop_within_a_step() -> None:
    should_stop, calls = threading.Event(), 0

    def stop_at_once(_fraction: float, _stage: str, _loss: float | None) -> None:
        nonlocal calls
        calls += 1
        should_stop.set()

    tower = make_tower()
    features_ND, labels_N = features_of(head_rows(tower))
    progress = Progress(stop_at_once, should_stop)

    with pytest.raises(Stopped):
        tune(tower, NAMES, features_ND, labels_N, CONFIG, progress, torch.Generator(), competing=9)

    assert calls == 1


def test_features_of_another_size_should_be_refused_with_both_numbers() -> None:
    with pytest.raises(InjectionError, match="reads 5 numbers a picture, the text has 16"):
        tune(
            make_tower(),
            NAMES,
            torch.ones(9, 5),
            torch.arange(9),
            CONFIG,
            ignore,
            torch.Generator(),
            competing=SEEN,
        )

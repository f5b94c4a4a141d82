"""How the two autoencoders are trained, and when that ends."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from headgraft.models.methods.icis import training
from headgraft.models.methods.icis.settings import IcisConstants, IcisSettings
from headgraft.models.methods.icis.training import (
    computes_bfloat16,
    confusion,
    train_as_authors,
    train_watching,
)
from headgraft.models.progress import ignore
from tests.models.builders import note_losses

SMALL = IcisConstants(hidden_size=64, learning_rate=1e-3, batch_size=16, init_std=0.2)


class Small(IcisSettings):
    """Settings of small networks."""

    epochs: int = 60

    @property
    def constants(self) -> IcisConstants:
        return SMALL


class Quicker(Small):
    """The same in larger steps."""

    @property
    def constants(self) -> IcisConstants:
        return replace(SMALL, learning_rate=1e-2)


class Flat(Small):
    """The same, standing still."""

    @property
    def constants(self) -> IcisConstants:
        return replace(SMALL, learning_rate=1e-12)


def data(noise: float = 0.0) -> tuple[Tensor, Tensor]:
    """Make 60 embeddings, and 50 rows that are a linear map of them plus noise."""
    generator = torch.Generator().manual_seed(3)
    embeddings_CA = normalize(torch.randn(60, 8, generator=generator))
    rows_SK = embeddings_CA[:50] @ torch.randn(8, 6, generator=generator)
    return embeddings_CA, rows_SK + noise * torch.randn(50, 6, generator=generator)


def every_fifth() -> Tensor:
    return torch.arange(50) % 5 == 0


def steps(train: object, *arguments: object) -> list[tuple[float, float]]:
    told: list[tuple[float, float]] = []
    train(*arguments, lambda fraction, _stage, loss: told.append((fraction, loss)))  # type: ignore[operator]  # one of two functions
    return told


def test_hidden_classes_should_decide_how_long_all_are_trained() -> None:
    told = steps(train_watching, *data(noise=1.0), every_fifth(), Quicker())

    halves = [sum(fraction < 0.5 for fraction, _ in told), sum(f >= 0.5 for f, _ in told)]
    # The search goes two looks of four steps beyond what is then trained.
    assert halves[0] == halves[1] + 8
    assert halves[1] < 60 * 4


def test_rows_without_noise_should_be_trained_longer_than_noisy_ones() -> None:
    clean = steps(train_watching, *data(), every_fifth(), Quicker())
    noisy = steps(train_watching, *data(noise=1.0), every_fifth(), Quicker())

    assert len(clean) > len(noisy)


def test_few_classes_should_be_trained_for_a_fixed_number_of_steps() -> None:
    embeddings_CA, rows_SK = data()

    told = steps(train_watching, embeddings_CA[:12], rows_SK[:9], every_fifth()[:9], Small())

    assert len(told) == 40


def test_fractions_should_never_fall() -> None:
    fractions = [fraction for fraction, _ in steps(train_watching, *data(), every_fifth(), Small())]

    assert fractions == sorted(fractions)
    assert fractions[-1] <= 1


def test_the_authors_loop_should_end_when_the_loss_is_flat() -> None:
    told = steps(train_as_authors, *data(), Flat())

    assert len(told) == 26 * 4  # flat from epoch 22 on, five in a row; four batches an epoch


def test_without_a_stop_the_authors_loop_should_go_to_the_last_epoch() -> None:
    told: list[float] = []
    endless = Flat(early_stop=False)

    train_as_authors(*data(), endless, note_losses(told))

    assert len(told) == 60 * 4


def test_training_should_find_rows_of_classes_it_never_saw() -> None:
    embeddings_CA, rows_SK = data()
    hidden_S = torch.arange(50) >= 40
    known_CA = torch.cat([embeddings_CA[:40], embeddings_CA[50:], embeddings_CA[40:50]])

    networks = train_watching(known_CA, rows_SK[:40], every_fifth()[:40], Quicker(), ignore)

    found = networks.predict(embeddings_CA[:50][hidden_S])
    assert cosine_similarity(found, rows_SK[hidden_S]).mean() > 0.85


def test_rows_that_are_told_apart_should_confuse_less_than_rows_that_are_all_near() -> None:
    rows_SK = torch.eye(6) + 1
    told_apart = torch.eye(6)[:4] - 0.2
    all_alike = rows_SK.mean(dim=0) + 0.01 * torch.eye(6).flip(0)[:4]

    apart = confusion(told_apart, rows_SK[:4], rows_SK)

    assert apart < confusion(all_alike, rows_SK[:4], rows_SK)


def test_of_very_many_rows_the_first_should_do(monkeypatch: pytest.MonkeyPatch) -> None:
    rows_SK = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    few = confusion(rows_SK[:4], rows_SK[:4], rows_SK)
    monkeypatch.setattr("headgraft.models.methods.icis.training.NUMBERS_MAX", 4 * 30 + 29)

    assert confusion(rows_SK[:10], rows_SK[:10], rows_SK) == few


def test_half_precision_should_learn_the_same_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings_CA, rows_SK = data()
    found = []
    for half in (False, True):
        monkeypatch.setattr(training, "computes_bfloat16", lambda _device, half=half: half)
        networks = train_watching(embeddings_CA, rows_SK, every_fifth(), Quicker(), ignore)
        found.append(networks.predict(embeddings_CA[50:]))

    assert cosine_similarity(found[0], found[1]).mean() > 0.97


def test_a_device_should_tell_whether_it_has_bfloat16() -> None:
    assert computes_bfloat16(torch.device("cuda"))
    assert not computes_bfloat16(torch.device("mps"))
    able = torch.cpu.get_capabilities()
    if not able.get("avx512_bf16") and not able.get("amx_bf16"):
        assert not computes_bfloat16(torch.device("cpu"))

"""The cosine classifier: what it starts from, what it learns, how the adjustment moves it."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.learners.cosine_classifier import (
    CosineClassifierConfig,
    offsets,
    train_cosine,
)
from headgraft.models.progress import Stopped
from tests.models.planted_clusters import clusters

FAST = CosineClassifierConfig(temperature=0.05, learning_rate=1e-2, epochs=20, batch_size=64)


def run(
    start_CD: Tensor,
    labelled: tuple[Tensor, Tensor],
    config: CosineClassifierConfig = FAST,
    offsets_C: Tensor | None = None,
    losses: list[float | None] | None = None,
) -> Tensor:
    noted: list[float | None] = [] if losses is None else losses
    return train_cosine(
        *labelled,
        start_CD,
        config,
        torch.zeros(len(start_CD)) if offsets_C is None else offsets_C,
        lambda _fraction, _stage, loss: noted.append(loss),
        torch.Generator().manual_seed(0),
    )


def accuracy(rows_CD: Tensor, labelled: tuple[Tensor, Tensor]) -> float:
    features_ND, labels_N = labelled
    return float(((features_ND @ normalize(rows_CD).T).argmax(1) == labels_N).double().mean())


def test_it_should_tell_planted_clusters_apart() -> None:
    _, labelled = clusters(8, 16, count=40, noise=0.15)
    start_CD = torch.randn(8, 16, generator=torch.Generator().manual_seed(1))

    assert accuracy(start_CD, labelled) < 0.4
    assert accuracy(run(start_CD, labelled), labelled) > 0.95


def test_it_should_train_a_copy_of_the_rows_it_starts_from() -> None:
    means_CD, labelled = clusters(8, 16, count=5, noise=0.15)
    before_CD = means_CD.clone()

    untrained_CD = run(means_CD, labelled, CosineClassifierConfig(learning_rate=0.0, epochs=1))
    trained_CD = run(means_CD, labelled)

    assert torch.equal(untrained_CD, before_CD)
    assert torch.equal(means_CD, before_CD)
    assert not torch.equal(trained_CD, before_CD)


@pytest.mark.parametrize("length", [0.1, 10.0])
def test_the_length_of_features_should_not_matter(length: float) -> None:
    means_CD, (features_ND, labels_N) = clusters(4, 8, count=20, noise=0.3)

    torch.testing.assert_close(
        run(means_CD, (length * features_ND, labels_N)), run(means_CD, (features_ND, labels_N))
    )


def test_a_larger_r_should_move_pictures_from_seen_to_unseen_classes() -> None:
    means_CD, labelled = clusters(10, 16, count=40, noise=2.0)
    counts_S = torch.full((6,), 40)

    shares = []
    for r in (1e-3, 1.0, 1e3):
        rows_CD = run(means_CD, labelled, offsets_C=offsets(counts_S, 4, r))
        predicted_N = (labelled[0] @ normalize(rows_CD).T).argmax(dim=1)
        shares.append(float((predicted_N >= 6).double().mean()))

    assert shares[0] + 0.05 < shares[1] < shares[2] - 0.05


def test_it_should_lower_its_loss_and_read_it_now_and_then() -> None:
    losses: list[float | None] = []
    means_CD, labelled = clusters(8, 16, count=40, noise=0.15)

    run(means_CD.roll(1, 0), labelled, losses=losses)

    read = [loss for loss in losses if loss is not None]
    assert len(losses) == 20 * 5
    assert len(read) == 7
    assert read[-1] < read[0] / 4


def test_the_learning_rate_should_halve_once() -> None:
    means_CD, labelled = clusters(4, 8, count=16, noise=0.3)

    once_CD, twice_CD, slower_CD = (
        run(means_CD, labelled, config)
        for config in (
            CosineClassifierConfig(epochs=1),
            CosineClassifierConfig(epochs=2),
            CosineClassifierConfig(epochs=2, halve_after=1),
        )
    )
    whole, halved = twice_CD - once_CD, slower_CD - once_CD

    torch.testing.assert_close(halved, whole / 2, rtol=0.02, atol=1e-6)


def test_it_should_stop_before_the_first_step() -> None:
    means_CD, labelled = clusters(4, 8, count=5, noise=0.1)

    def stop(_fraction: float, _stage: str, _loss: float | None) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        train_cosine(
            *labelled, means_CD, FAST, torch.zeros(4), stop, torch.Generator().manual_seed(0)
        )

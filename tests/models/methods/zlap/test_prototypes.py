"""Prototypes: what they learn, and how they become rows of a head."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from headgraft.models.heads.rows import regression_rows
from headgraft.models.learners.cosine_classifier import CosineClassifierConfig
from headgraft.models.methods.zlap.prototypes import (
    UnitInterval,
    rows_from_prototypes,
    train_prototypes,
)
from headgraft.models.progress import ignore
from tests.models.builders import make_head
from tests.models.planted_classes import planted


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_prototypes_should_follow_from_embeddings_for_unseen_classes_too() -> None:
    task = planted(seen=80, noise=0.3)
    config = CosineClassifierConfig(temperature=0.1, learning_rate=3e-3, epochs=10, batch_size=128)

    prototypes_CD = train_prototypes(
        (task.features_NF, task.labels_N),
        task.text_CA,
        64,
        config,
        torch.zeros(88),
        ignore,
        seeded(),
    )

    torch.testing.assert_close(prototypes_CD.norm(dim=1), torch.ones(88))
    nearest_U = (task.means_CD[80:] @ prototypes_CD[80:].T).argmax(dim=1)
    assert float((nearest_U == torch.arange(8)).double().mean()) > 0.7


def test_scaled_features_should_fill_the_unit_interval() -> None:
    features_ND = torch.randn(50, 4, generator=seeded()) * torch.tensor([1.0, 10.0, 0.1, 0.0])

    scaled_ND = UnitInterval(features_ND).scale(features_ND)

    assert scaled_ND.aminmax(dim=0).min.tolist() == [0, 0, 0, 0]
    assert scaled_ND.aminmax(dim=0).max.tolist() == [1, 1, 1, 0]


def test_folded_rows_should_score_features_as_the_rows_score_scaled_ones() -> None:
    features_ND, rows_CD = torch.randn(50, 4, generator=seeded()), torch.randn(3, 4)
    interval = UnitInterval(features_ND)

    folded_CK = interval.fold_back(rows_CD)

    wanted_NC = interval.scale(features_ND) @ rows_CD.T
    torch.testing.assert_close(features_ND @ folded_CK[:, :4].T + folded_CK[:, 4], wanted_NC)


@pytest.mark.parametrize("metric", ["linear", "cosine"])
def test_rows_should_be_found_again_from_shifted_and_shrunk_ones(metric: str) -> None:
    whole = make_head(metric="cosine" if metric == "cosine" else "linear")
    seen = type(whole)(
        whole.weight[:8],
        None if whole.bias is None else whole.bias[:8],
        whole.class_names[:8],
        whole.metric,
        whole.scale,
    )
    foreign_CK = 0.1 * regression_rows(whole, "cpu") + torch.randn(7, generator=seeded())

    found = seen.with_rows(rows_from_prototypes(seen, foreign_CK), whole.class_names[8:])

    features_ND = torch.randn(20, 6, generator=seeded(1))
    torch.testing.assert_close(found.logits(features_ND), whole.logits(features_ND)[:, 8:])


def test_prototypes_without_a_bias_should_get_the_seen_mean_bias() -> None:
    head = make_head()
    assert head.bias is not None
    prototypes_CD: Tensor = normalize(torch.randn(15, 6, generator=seeded()))

    rows_UK = rows_from_prototypes(head, prototypes_CD)

    torch.testing.assert_close(rows_UK[:, 6], head.bias.double().mean().expand(3))
    centred_UD = rows_UK[:, :6] - head.weight.double().mean(dim=0)
    wanted_UD = (prototypes_CD[12:] - prototypes_CD[:12].mean(dim=0)).double()
    torch.testing.assert_close(cosine_similarity(centred_UD, wanted_UD), torch.ones(3).double())

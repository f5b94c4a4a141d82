"""Folds: equal, and near neighbours apart."""

import torch

from headgraft.models.features.folds import deal_folds


def test_folds_should_have_equal_sizes() -> None:
    fold_S = deal_folds(torch.randn(47, 6), 5)

    assert sorted(fold_S.bincount().tolist()) == [9, 9, 9, 10, 10]


def test_two_clusters_should_be_spread_over_the_folds() -> None:
    embeddings_SA = torch.cat([torch.randn(10, 3) + 50, torch.randn(10, 3) - 50])

    fold_S = deal_folds(embeddings_SA, 5)

    assert fold_S[:10].bincount().tolist() == [2] * 5

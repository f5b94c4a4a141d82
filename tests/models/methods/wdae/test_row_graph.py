"""The graph of rows, and the network over it."""

import pytest
import torch
from torch import Tensor

from headgraft.models.methods.wdae.row_graph import Norm, RowGraph, joined, relatives


def draws(seed: int = 0) -> tuple[torch.Generator, torch.Generator]:
    return torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)


def some_rows(count: int = 6, size: int = 4) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(1))


def test_relatives_should_be_the_most_similar_others() -> None:
    rows_BK = torch.tensor([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.0], [0.5, 0.5]])

    index_BT, weight_BT = relatives(rows_BK, 2)

    assert index_BT[0].tolist() == [1, 3]
    logits_T = 5 * rows_BK[[1, 3]] @ rows_BK[0]
    torch.testing.assert_close(weight_BT[0], logits_T.softmax(dim=0))


def test_no_row_should_be_its_own_relative() -> None:
    index_BT, weight_BT = relatives(some_rows(), 10)

    assert index_BT.shape == (6, 5)
    assert not (index_BT == torch.arange(6)[:, None]).any()
    torch.testing.assert_close(weight_BT.sum(dim=1), torch.ones(6))


def test_relatives_of_many_rows_should_be_found_a_part_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = relatives(some_rows(), 2)
    monkeypatch.setattr("headgraft.models.methods.wdae.row_graph.NUMBERS_MAX", 2 * 6)

    index_BT, weight_BT = relatives(some_rows(), 2)

    assert torch.equal(index_BT, whole[0])
    torch.testing.assert_close(weight_BT, whole[1])


def test_graphs_side_by_side_should_not_mix() -> None:
    first, second = relatives(some_rows(), 2), relatives(-some_rows(), 2)

    index_NT, _ = joined([first, second])

    assert index_NT[:6].max() < 6
    assert index_NT[6:].min() >= 6


def test_copies_should_be_repaired_alike_side_by_side_and_alone() -> None:
    network = RowGraph(4, 8, draws()).eval()
    graph, rows_BK = relatives(some_rows(), 3), some_rows()

    together = network(torch.cat([rows_BK, rows_BK]), joined([graph, graph]))

    torch.testing.assert_close(together, network(rows_BK, graph).repeat(2, 1))


def test_normalisation_should_use_the_running_mean_outside_training() -> None:
    norm = Norm(3, draws()[1])
    x_NW = 5 + torch.randn(1000, 3, generator=draws()[0])
    for _ in range(100):
        norm(x_NW)

    torch.testing.assert_close(norm.mean, x_NW.mean(dim=0), rtol=0.01, atol=0.01)
    assert torch.equal(norm.eval()(x_NW), norm.eval()(x_NW))


def test_dropout_should_keep_the_share_it_says_and_the_mean() -> None:
    norm = Norm(1, draws()[1])
    x_NW = torch.randn(20_000, 1, generator=draws()[0])

    y_NW = norm(x_NW)

    assert 0.28 < float((y_NW != 0).float().mean()) < 0.32


def test_the_authors_width_should_make_170_million_weights() -> None:
    def weights(K: int, W: int) -> int:
        return K * W + 2 * (K + W) * W + (K + 2 * W) * 2 * K

    small = RowGraph(4, 12, draws())
    counted = sum(one.numel() for one in small.parameters() if one.ndim == 2)

    assert counted == weights(4, 12)
    assert 165e6 < weights(2049, 3 * 2049) < 180e6

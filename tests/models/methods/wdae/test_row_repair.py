"""What a network is taught that repairs rows."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from headgraft.models.methods.wdae.row_graph import RowGraph, relatives
from headgraft.models.methods.wdae.row_repair import RepairConstants, WdaeSettings, learn_to_repair
from tests.models.builders import note_losses

FAST = RepairConstants(width=8, epochs=150, batch_size=40)


class Fast(WdaeSettings):
    """Settings of a small network."""

    @property
    def repair(self) -> RepairConstants:
        return FAST


class OneBatch(WdaeSettings):
    """Settings of one epoch, whose batches would leave a lone class over."""

    @property
    def repair(self) -> RepairConstants:
        return replace(FAST, epochs=1, batch_size=79)


def clusters() -> tuple[Tensor, Tensor]:
    """Return rows about four centres, and predictions that are off in one direction."""
    generator = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(4, 6, generator=generator)
    rows_SK = centres.repeat(20, 1) + 0.1 * torch.randn(80, 6, generator=generator)
    return rows_SK, rows_SK + torch.tensor([0.0, 0, 0, 0, 0, 1.5])


def learn(kind: type[WdaeSettings] = Fast) -> tuple[RowGraph, list[float]]:
    losses: list[float] = []
    rows_SK, predicted_SK = clusters()

    network = learn_to_repair(rows_SK, predicted_SK, kind(noise=0.05), note_losses(losses))
    return network.eval(), losses


def test_a_wrong_row_among_right_ones_should_be_moved_towards_the_truth() -> None:
    network, _ = learn()
    rows_SK, predicted_SK = clusters()
    mixed_SK = torch.cat([predicted_SK[:8], rows_SK[8:]])

    with torch.no_grad():
        repaired_SK = network(mixed_SK, relatives(mixed_SK, 10))

    before = (predicted_SK[:8] - rows_SK[:8]).norm(dim=1).mean()
    assert (repaired_SK[:8] - rows_SK[:8]).norm(dim=1).mean() < before / 2


def test_the_loss_should_fall() -> None:
    _, losses = learn()

    assert sum(losses[-10:]) < sum(losses[:10]) / 2


def test_no_batch_should_be_smaller_than_two_classes() -> None:
    _, losses = learn(OneBatch)

    assert len(losses) == 1


def test_a_listener_that_raises_should_end_it_at_once() -> None:
    rows_SK, predicted_SK = clusters()

    def refuse(_fraction: float, _stage: str, _loss: float | None) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        learn_to_repair(rows_SK, predicted_SK, WdaeSettings(), refuse)

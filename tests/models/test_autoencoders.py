"""Autoencoders: the four terms of the loss."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from models.autoencoders import Autoencoders, Distance, train_epoch


def make() -> Autoencoders:
    return Autoencoders((3, 4, 8), 0.5, torch.Generator().manual_seed(0))


def distances(predicted: Tensor, target: Tensor) -> Tensor:
    return 1 - cosine_similarity(predicted, target)


def test_the_loss_should_be_the_sum_of_four_means() -> None:
    networks, seen_B = make(), torch.tensor([True, False, True])
    a_BA, w_SK = torch.randn(3, 3), torch.randn(2, 4)
    code_a, code_w = networks.encode_a(a_BA).relu(), networks.encode_w(w_SK).relu()

    expected = (
        distances(networks.decode_a(code_a), a_BA).mean()
        + distances(networks.decode_a(code_w), a_BA[seen_B]).mean()
        + distances(networks.decode_w(code_w), w_SK).mean()
        + distances(networks.decode_w(code_a[seen_B]), w_SK).mean()
    )

    torch.testing.assert_close(networks.loss(a_BA, w_SK, seen_B, "cosine"), expected)


@pytest.mark.parametrize("distance", ["cosine", "mse"])
def test_a_batch_without_seen_classes_should_have_the_first_term_alone(distance: Distance) -> None:
    networks, a_BA = make(), torch.randn(2, 3)

    total = networks.loss(a_BA, torch.empty(0, 4), torch.tensor([False, False]), distance)

    assert torch.isfinite(total)
    total.backward()  # type: ignore[no-untyped-call] # torch's
    assert networks.encode_w.weight.grad is None


def test_the_same_generator_state_should_give_the_same_weights() -> None:
    assert torch.equal(make().decode_w.weight, make().decode_w.weight)


def test_an_epoch_should_take_one_step_a_batch() -> None:
    networks = make()
    optimizer = torch.optim.Adam(networks.parameters(), 0.01)
    before = networks.encode_a.weight.detach().clone()
    batches = torch.split(torch.arange(6), 2)

    losses = list(
        train_epoch(networks, optimizer, torch.randn(6, 3), torch.randn(4, 4), batches, "cosine")
    )

    assert len(losses) == 3
    assert not torch.equal(networks.encode_a.weight, before)

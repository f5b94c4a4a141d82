"""Autoencoders: the four terms of the loss."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from headgraft.models.methods.icis.autoencoders import Autoencoders, Distance, Terms


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
    assert next(networks.encode_w.parameters()).grad is None


def test_the_same_generator_state_should_give_the_same_weights() -> None:
    first, second = make().state_dict(), make().state_dict()

    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("terms", "parts"), [("mlp", "W"), ("autoencoders", "AwW"), ("cross_terms", "AawW")]
)
def test_the_ablation_should_add_its_terms_one_after_the_other(terms: Terms, parts: str) -> None:
    networks, seen_B = make(), torch.tensor([True, True])
    a_BA, w_SK = torch.randn(2, 3), torch.randn(2, 4)
    code_a, code_w = networks.encode_a(a_BA).relu(), networks.encode_w(w_SK).relu()
    terms_of = {
        "A": distances(networks.decode_a(code_a), a_BA),
        "a": distances(networks.decode_a(code_w), a_BA),
        "w": distances(networks.decode_w(code_w), w_SK),
        "W": distances(networks.decode_w(code_a), w_SK),
    }

    expected = torch.stack([terms_of[part].mean() for part in parts]).sum()

    torch.testing.assert_close(networks.loss(a_BA, w_SK, seen_B, "cosine", terms), expected)


def test_more_layers_should_be_of_the_hidden_width() -> None:
    networks = Autoencoders((3, 4, 8), 0.5, torch.Generator().manual_seed(0), layers=3)

    widths = [tuple(w.shape) for name, w in networks.named_parameters() if name.endswith("weight")]

    assert widths[:3] == [(8, 3), (8, 8), (8, 8)]  # E_a
    assert widths[-3:] == [(8, 8), (8, 8), (4, 8)]  # D_w

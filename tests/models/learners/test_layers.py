"""Layers: drawn from their own generator alone."""

import torch

from headgraft.models.learners.layers import seeded_linear


def test_weights_should_spread_as_told_and_biases_be_zero() -> None:
    layer = seeded_linear(100, 200, torch.Generator().manual_seed(0), deviation=0.5)

    assert layer.weight.shape == (200, 100)
    assert abs(float(layer.weight.detach().std()) - 0.5) < 0.01
    assert not layer.bias.any()


def test_a_layer_should_draw_from_its_generator_alone() -> None:
    before = torch.get_rng_state()

    first, second = (seeded_linear(3, 4, torch.Generator().manual_seed(7)) for _ in range(2))

    assert torch.equal(first.weight, second.weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_layer_may_have_no_bias() -> None:
    assert seeded_linear(3, 4, torch.Generator(), bias=False).bias is None

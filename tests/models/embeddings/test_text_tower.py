"""Text towers of every kind open_clip builds for byte-pair tokens, tiny and random."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.embeddings.text_tower import TextTower
from headgraft.models.errors import InjectionError
from tests.models.towers import KINDS, make_network, make_tower

NAMES = ["cat", "bearded collie", "ice lolly, lolly, lollipop, popsicle", "dog"]


def other_context(tower: TextTower, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return tower.context() + 0.05 * torch.randn(*shape, 4, tower.width, generator=generator)


@pytest.mark.parametrize("kind", KINDS)
def test_the_initial_context_should_read_as_the_model_reads_it(kind: str) -> None:
    network, tokenizer = make_network(kind)
    tower = TextTower(network, tokenizer)

    found_CD = tower.encode(tower.prompts(NAMES), tower.context())

    texts = [f"a photo of a {name}." for name in NAMES]
    with torch.no_grad():
        expected_CD = normalize(network.encode_text(tokenizer(texts)))
    torch.testing.assert_close(found_CD, expected_CD)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_should_reach_the_context_and_nothing_else(kind: str) -> None:
    network, tokenizer = make_network(kind)
    tower = TextTower(network, tokenizer)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    context_4W = tower.context().requires_grad_()

    features_CD = tower.encode(tower.prompts(NAMES), context_4W)
    torch.autograd.backward(features_CD[:, 0].sum())

    assert context_4W.grad is not None
    assert (context_4W.grad.abs().sum(dim=1) > 0).all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is None, name
        assert not parameter.requires_grad, name
    for name, value in network.state_dict().items():
        # open_clip leaves one of its parts without values, which may be NaN.
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("kind", KINDS)
def test_each_prompt_should_be_read_with_its_own_context(kind: str) -> None:
    tower = make_tower(kind)
    prompts_CL, contexts_C4W = tower.prompts(NAMES), other_context(tower, len(NAMES))

    together_CD = tower.encode(prompts_CL, contexts_C4W)

    alone = [tower.encode(prompts_CL[[one]], contexts_C4W[one]) for one in range(len(NAMES))]
    torch.testing.assert_close(together_CD, torch.cat(alone))


@pytest.mark.parametrize("kind", ["plain", "sees padding"])
def test_small_batches_should_change_neither_features_nor_gradients(kind: str) -> None:
    tower = make_tower(kind)
    prompts_CL = tower.prompts(NAMES)
    weights_CD = torch.randn(4, 16, generator=torch.Generator().manual_seed(1))

    found = []
    for batch_size in (64, 3, 1):
        context_4W = other_context(tower).requires_grad_()
        features_CD = tower.encode(prompts_CL, context_4W, batch_size)
        torch.autograd.backward((features_CD * weights_CD).sum())
        found.append((features_CD.detach(), context_4W.grad))

    for features_CD, gradient_4W in found[1:]:
        torch.testing.assert_close(features_CD, found[0][0])
        torch.testing.assert_close(gradient_4W, found[0][1])


def test_features_should_be_unit_and_float32() -> None:
    tower = make_tower()

    features_CD = tower.encode(tower.prompts(NAMES), other_context(tower))

    assert features_CD.dtype == torch.float32
    torch.testing.assert_close(features_CD.norm(dim=1), torch.ones(4))


def test_an_underscore_should_read_as_a_space() -> None:
    tower = make_tower()

    assert torch.equal(tower.prompts(["ice_bear"]), tower.prompts(["ice bear"]))


def test_a_name_longer_than_the_tower_reads_should_be_cut_not_refused() -> None:
    tower = make_tower()

    features_CD = tower.encode(tower.prompts(["very " * 200 + "long"]), tower.context())

    assert torch.isfinite(features_CD).all()


def test_the_scale_should_be_the_models_own() -> None:
    assert make_tower().scale == pytest.approx(1 / 0.07)


def test_a_tower_of_another_make_should_be_refused_by_name() -> None:
    network, _ = make_network()

    with pytest.raises(InjectionError, match="tokenizer of kind dict") as caught:
        TextTower(network, {})

    assert caught.value.pointer == "/class_embeddings/encoder"

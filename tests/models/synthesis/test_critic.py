"""The critic: what it compares is what its forward pass and autograd say."""

import torch
from torch import Tensor

from headgraft.models.synthesis.critic import Critic

SIZES = (6, 4, 32)


def parts() -> tuple[Critic, Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    critic = Critic(SIZES, generator)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.25)
    real_BD, fake_BD = torch.randn(2, 9, 6, generator=generator)
    text_BA = torch.randn(9, 4, generator=generator)
    return critic, real_BD, fake_BD, text_BA, torch.rand(9, 1, generator=generator)


def by_autograd(
    critic: Critic, real_BD: Tensor, fake_BD: Tensor, text_BA: Tensor, mix_B1: Tensor
) -> Tensor:
    between_BD = (mix_B1 * real_BD + (1 - mix_B1) * fake_BD).requires_grad_()
    (gradient_BD,) = torch.autograd.grad(
        critic(between_BD, text_BA).sum(), between_BD, create_graph=True
    )
    penalty: Tensor = (gradient_BD.norm(dim=1) - 1).square().mean()
    return penalty


def test_it_should_score_both_kinds_as_its_forward_pass_does() -> None:
    critic, real_BD, fake_BD, text_BA, mix_B1 = parts()

    critic_loss = critic.compare(real_BD, fake_BD, text_BA, mix_B1)

    wanted = critic(fake_BD, text_BA).mean() - critic(real_BD, text_BA).mean()
    torch.testing.assert_close(critic_loss.fake_less_real, wanted)


def test_the_penalty_should_be_that_of_a_gradient_found_by_autograd() -> None:
    critic, *tensors = parts()

    torch.testing.assert_close(critic.compare(*tensors).penalty, by_autograd(critic, *tensors))


def test_the_penaltys_own_gradient_should_be_that_of_double_backward() -> None:
    critic, *tensors = parts()
    weights = [critic.hidden.weight, critic.score.weight]

    found = torch.autograd.grad(critic.compare(*tensors).penalty, weights)
    wanted = torch.autograd.grad(by_autograd(critic, *tensors), weights)

    torch.testing.assert_close(found, wanted)


def test_steps_down_the_penalty_should_bring_the_gradient_to_length_one() -> None:
    critic, *tensors = parts()
    adam = torch.optim.Adam(critic.parameters(), 1e-2)

    for _ in range(300):
        adam.zero_grad()
        torch.autograd.backward(critic.compare(*tensors).penalty)
        adam.step()

    assert float(by_autograd(critic, *tensors).detach()) < 1e-3

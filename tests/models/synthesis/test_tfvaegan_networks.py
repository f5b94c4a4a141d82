"""The networks of TF-VAEGAN: shapes, unit outputs, and which gradients the feedback passes."""

import torch
from torch import Tensor

from headgraft.models.synthesis.tfvaegan_networks import FEEDBACK_SHARE, Networks

D, A, Z, L = 6, 4, 16, 5


def made() -> tuple[Networks, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    networks = Networks((D, A, Z, L), generator)
    features_BD = torch.randn(7, D, generator=generator)
    text_BA = torch.randn(7, A, generator=generator)
    return networks, features_BD, text_BA, torch.randn(7, L, generator=generator)


def reached(networks: Networks, loss: Tensor) -> set[str]:
    """Return the networks whose parameters a gradient reaches."""
    named = list(networks.named_parameters())
    gradients = torch.autograd.grad(loss, [one for _, one in named], allow_unused=True)
    return {
        name.split(".")[0]
        for (name, _), gradient in zip(named, gradients, strict=True)
        if gradient is not None and gradient.any()
    }


def test_the_encoder_should_give_mean_and_log_variance_of_a_code() -> None:
    networks, features_BD, text_BA, _ = made()

    mean_BL, log_variance_BL = networks.encoder(features_BD, text_BA)

    assert mean_BL.shape == log_variance_BL.shape == (7, L)
    assert not torch.equal(mean_BL, log_variance_BL)


def test_features_and_guessed_embeddings_should_have_unit_length() -> None:
    networks, features_BD, text_BA, codes_BL = made()

    for fed_back in (False, True):
        lengths_B = networks.generate(codes_BL, text_BA, fed_back=fed_back).norm(dim=1)
        torch.testing.assert_close(lengths_B, torch.ones(7))
    torch.testing.assert_close(networks.decoder(features_BD).norm(dim=1), torch.ones(7))


def test_feedback_should_be_added_after_the_hidden_activation() -> None:
    networks, _, text_BA, codes_BL = made()

    hidden_BZ = networks.generator.hidden(codes_BL, text_BA)
    told_BZ = networks.feedback(networks.decoder.hidden(networks.generator.features(hidden_BZ)))
    wanted_BD = networks.generator.features(hidden_BZ + FEEDBACK_SHARE * told_BZ)

    torch.testing.assert_close(networks.generate(codes_BL, text_BA, fed_back=True), wanted_BD)


def test_a_gradient_should_not_reach_the_decoder_through_the_feedback() -> None:
    networks, _, text_BA, codes_BL = made()

    once = networks.generate(codes_BL, text_BA, fed_back=False)[:, 0].sum()
    twice = networks.generate(codes_BL, text_BA, fed_back=True)[:, 0].sum()

    assert reached(networks, once) == {"generator"}
    assert reached(networks, twice) == {"generator", "feedback"}


def test_the_weights_should_be_the_seeds() -> None:
    first, second = (made()[0].state_dict() for _ in range(2))

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert abs(float(first["feedback.first.weight"].std()) - 0.02) < 0.004
    assert not first["feedback.first.bias"].any()

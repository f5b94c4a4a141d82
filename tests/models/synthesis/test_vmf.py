"""Draws from von Mises-Fisher distributions: exact, isotropic, repeatable, with a gradient."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.synthesis.vmf import sample

SIZES = (512, 768)
KAPPAS = (10.0, 205.0, 1000.0, 4000.0, 1e5)
# I_{D/2}(kappa) / I_{D/2-1}(kappa) to 40 digits by mpmath, rounded to the nearest float.
RATIOS = {
    (512, 10.0): 0.019523834023025134,
    (512, 205.0): 0.3511657662127272,
    (512, 1000.0): 0.7765309329025388,
    (512, 4000.0): 0.9381554692009405,
    (512, 100000.0): 0.9974482512647274,
    (768, 10.0): 0.01301863223029994,
    (768, 205.0): 0.25024919863578515,
    (768, 1000.0): 0.6873995803134378,
    (768, 4000.0): 0.9086997007060919,
    (768, 100000.0): 0.9961723344839476,
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def directions(count: int, D: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return normalize(torch.randn(count, D, generator=generator(7), dtype=dtype))


@pytest.mark.parametrize(("D", "kappa", "ratio"), [(*at, ratio) for at, ratio in RATIOS.items()])
def test_draws_should_be_as_near_their_direction_as_the_ratio_says(
    D: int, kappa: float, ratio: float
) -> None:
    mean_CD = directions(3, D)

    cosines_CN = torch.einsum("cnd,cd->cn", sample(mean_CD, kappa, 1000, generator()), mean_CD)

    error = float(cosines_CN.std()) / cosines_CN.numel() ** 0.5
    assert abs(float(cosines_CN.mean()) - ratio) < 4 * error


@pytest.mark.parametrize("kappa", [0.5, 10.0])
def test_draws_in_few_dimensions_should_be_as_spread_as_the_density(kappa: float) -> None:
    # On the ordinary sphere the cosine's distribution has a closed form.
    mean_CD = directions(1, 3)

    cosines_N = (sample(mean_CD, kappa, 20_000, generator())[0] @ mean_CD[0]).sort().values

    below_N = torch.expm1(kappa * (cosines_N + 1)) / torch.expm1(torch.tensor(2 * kappa).double())
    expected_N = (torch.arange(20_000) + 0.5) / 20_000
    assert float((below_N - expected_N).abs().max()) < 1.95 / 20_000**0.5  # 0.1 % by chance


@pytest.mark.parametrize("D", SIZES)
@pytest.mark.parametrize("kappa", KAPPAS)
def test_draws_should_be_unit(D: int, kappa: float) -> None:
    lengths_CN = sample(directions(2, D), kappa, 50, generator()).norm(dim=2)

    torch.testing.assert_close(lengths_CN, torch.ones_like(lengths_CN), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kappa", KAPPAS)
def test_draws_should_favour_no_side_of_their_direction(kappa: float) -> None:
    D, count = 16, 20_000
    mean_CD = directions(1, D)

    drawn_ND = sample(mean_CD, kappa, count, generator())[0]

    aside_ND = normalize(drawn_ND - (drawn_ND @ mean_CD[0])[:, None] * mean_CD[0])
    variance = (torch.eye(D) - mean_CD.T @ mean_CD) / (D - 1)
    # Sums of 20,000 products of coordinates, each product's deviation at most about 1 / (D - 1).
    noise = 5 * (2**0.5) / (D - 1) / count**0.5
    assert float((aside_ND.T @ aside_ND / count - variance).abs().max()) < noise
    assert float(aside_ND.mean(dim=0).abs().max()) < 5 / ((D - 1) * count) ** 0.5


def test_gradients_should_reach_the_direction_through_the_reflection() -> None:
    weights_CND = torch.randn(2, 4, 6, generator=generator(1), dtype=torch.float64)

    def weighed(mean_CD: Tensor) -> Tensor:
        return (sample(mean_CD, 20.0, 4, generator()) * weights_CND).sum(dim=(1, 2))

    assert torch.autograd.gradcheck(weighed, directions(2, 6).requires_grad_())


def test_a_direction_along_the_first_axis_should_have_draws_and_a_finite_gradient() -> None:
    axis_CD = torch.eye(2, 5, dtype=torch.float64).mul(torch.tensor([[1.0], [-1]])).clone()
    axis_CD[1] = -axis_CD[0]
    axis_CD.requires_grad_()

    drawn_CND = sample(axis_CD, 1e4, 100, generator())
    torch.autograd.backward(drawn_CND.sum())

    assert drawn_CND[0, :, 0].min() > 0.9
    assert drawn_CND[1, :, 0].max() < -0.9
    assert axis_CD.grad is not None
    assert axis_CD.grad.isfinite().all()


def test_the_same_seed_should_give_the_same_bytes() -> None:
    first, second = (sample(directions(3, 64), 500.0, 20, generator(5)) for _ in range(2))

    assert torch.equal(first, second)
    assert not torch.equal(first, sample(directions(3, 64), 500.0, 20, generator(6)))


def test_draws_should_have_the_directions_dtype_and_forgive_their_length() -> None:
    mean_CD = directions(2, 32, torch.float32)

    longer_CND = sample(100 * mean_CD, 500.0, 10, generator())

    assert longer_CND.dtype == torch.float32
    torch.testing.assert_close(longer_CND, sample(mean_CD, 500.0, 10, generator()))


@pytest.mark.parametrize("kappa", [0.0, -1.0, float("nan"), 1e7])
def test_a_kappa_beyond_what_is_exact_should_be_refused(kappa: float) -> None:
    with pytest.raises(ValueError, match="must be above 0 and at most"):
        sample(directions(1, 8), kappa, 1, generator())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_should_get_the_same_draws() -> None:
    mean_CD = directions(2, 64)

    on_gpu_CND = sample(mean_CD.cuda(), 500.0, 10, generator())

    assert on_gpu_CND.is_cuda
    torch.testing.assert_close(on_gpu_CND.cpu(), sample(mean_CD, 500.0, 10, generator()))

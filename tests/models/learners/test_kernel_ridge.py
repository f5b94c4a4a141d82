"""The closed forms of kernel_ridge must be what refitting gives."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.learners import kernel_ridge
from headgraft.models.learners.kernel_ridge import KernelRidge


def points(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, 4, generator=generator, dtype=torch.float64))


def targets(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return 3 + torch.randn(count, 5, generator=generator, dtype=torch.float64)


def test_leaving_a_fold_out_should_equal_a_fit_without_it() -> None:
    seen_SA, rows_SK, fold_S = points(30), targets(30), torch.arange(30) % 3

    left_out = KernelRidge(seen_SA, 2.0, 0.1).leave_out(rows_SK, fold_S)

    for fold in range(3):
        kept = fold_S != fold
        refit = KernelRidge(seen_SA[kept], 2.0, 0.1).predict(seen_SA[~kept], rows_SK[kept])
        torch.testing.assert_close(left_out[~kept], refit)


def test_doubt_of_a_left_out_point_should_equal_that_of_a_fit_without_it() -> None:
    seen_SA = points(20)

    left_out = KernelRidge(seen_SA, 2.0, 0.1).doubt_left_out()

    refit = KernelRidge(seen_SA[1:], 2.0, 0.1).doubt(seen_SA[:1])
    assert left_out[0].item() == pytest.approx(refit.item())


def test_doubt_should_grow_with_the_distance_from_what_is_known() -> None:
    seen_SA = points(20)

    near, far = KernelRidge(seen_SA, 4.0, 0.1).doubt(torch.stack([seen_SA[0], -seen_SA.mean(0)]))

    assert 0 < near < far <= 1


def test_many_points_should_be_fitted_nearly_as_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    seen_SA, unseen_UA = points(120), points(10, seed=1)
    rows_SK = torch.tanh(seen_SA @ targets(4))
    exact = KernelRidge(seen_SA, 1.0, 0.1)
    monkeypatch.setattr(kernel_ridge, "DENSE_MAX", 50)
    monkeypatch.setattr(kernel_ridge, "LANDMARKS", 100)

    thinned = KernelRidge(seen_SA, 1.0, 0.1)

    torch.testing.assert_close(
        thinned.predict(unseen_UA, rows_SK), exact.predict(unseen_UA, rows_SK), atol=2e-2, rtol=0
    )


def test_leaving_out_of_many_points_should_equal_a_fit_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernel_ridge, "DENSE_MAX", 20)
    monkeypatch.setattr(kernel_ridge, "LANDMARKS", 40)
    seen_SA, rows_SK, fold_S = points(40), targets(40), torch.arange(40) % 4
    thinned = KernelRidge(seen_SA, 1.0, 0.1)
    monkeypatch.setattr(kernel_ridge, "DENSE_MAX", 100)

    left_out = thinned.leave_out(rows_SK, fold_S)

    # With every point a landmark, the thinned kernel is the whole one but for its jitter.
    refit = KernelRidge(seen_SA[fold_S != 1], 1.0, 0.1).predict(
        seen_SA[fold_S == 1], rows_SK[fold_S != 1]
    )
    torch.testing.assert_close(left_out[fold_S == 1], refit, atol=1e-2, rtol=0)

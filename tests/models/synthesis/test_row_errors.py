"""What the truth behind a head's rows is taken to be."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from headgraft.models.synthesis.row_errors import RowErrors, explain

S, R, NOISE = 400, 30, 1.0


def planted(error: float) -> tuple[Tensor, RowErrors, float]:
    """Plant a truth (S, R) and rows with errors; the head's accuracy on features of the truth."""
    generator = torch.Generator().manual_seed(0)
    truth_SR = torch.randn(S, R, generator=generator)
    rows_SR = truth_SR + error * torch.randn(S, R, generator=generator)
    labels_N = torch.arange(S).repeat(5)
    rest_NR = NOISE * torch.randn(len(labels_N), R, generator=generator)
    features_NR = truth_SR[labels_N] + rest_NR
    right_N = (features_NR @ rows_SR.T).argmax(dim=1) == labels_N
    accuracy = float(right_N.float().mean())
    lots_SR = torch.randn(S, R, generator=generator)
    ones_N1 = torch.ones(len(labels_N), 1)
    errors = RowErrors(rows_SR, labels_N, ones_N1, torch.ones(R), rest_NR, lots_SR, accuracy)
    return truth_SR, errors, accuracy


def test_the_size_of_the_errors_should_be_found_from_the_accuracy_alone() -> None:
    _, errors, accuracy = planted(error=1.0)

    share, _, reached = errors.unpredicted()

    assert reached == pytest.approx(accuracy, abs=0.01)
    assert share == pytest.approx(0.5, abs=0.15)  # of the rows' variance


def test_a_prediction_of_the_truth_should_find_the_truths_features() -> None:
    truth_SR, errors, _ = planted(error=1.0)
    all_S = torch.ones(S, dtype=torch.bool)
    share, alone_NR, _ = errors.unpredicted()
    own_N = truth_SR[errors.labels_N]

    told_NR, _ = replace(errors, share=share).predicted(truth_SR, all_S)

    def nearness(features_NR: Tensor) -> float:
        return float(torch.cosine_similarity(features_NR - errors.rest_NR, own_N).mean())

    assert nearness(alone_NR) < 0.75
    assert nearness(told_NR) > 0.9


def test_a_worthless_prediction_should_explain_next_to_nothing() -> None:
    rows_SR = torch.randn(S, R, generator=torch.Generator().manual_seed(1))
    other_SR = torch.randn(S, R, generator=torch.Generator().manual_seed(2))

    explained_SR = explain(rows_SR, other_SR, torch.ones(S, dtype=torch.bool))

    assert float(explained_SR.square().mean() / rows_SR.square().mean()) < 0.01


def test_classes_without_a_prediction_should_be_left_unexplained() -> None:
    rows_SR = torch.randn(S, R, generator=torch.Generator().manual_seed(1))
    known_S = torch.arange(S) < S // 2

    explained_SR = explain(rows_SR, 3 * rows_SR, known_S)

    known_KR = rows_SR[known_S]
    torch.testing.assert_close(explained_SR[known_S], known_KR - known_KR.mean(dim=0))
    assert not explained_SR[~known_S].any()

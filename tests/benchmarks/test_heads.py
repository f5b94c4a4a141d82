"""A short part of the population of heads; skipped without the data."""

from pathlib import Path
from statistics import mean

import pytest

from tests.benchmarks.heads import Outcome, run_case
from tests.benchmarks.population import cases

pytestmark = pytest.mark.soak
WORDS = "conceptnet+wiki2vec"


def outcomes(folder: Path, name: str, embedding: str, ground: str) -> list[Outcome]:
    """Calibrate two folds of a head on one ground."""
    return [
        one
        for case in cases(folder, name, embedding, range(2))
        for one in run_case(case, [ground], "ridge", tell=False)
    ]


@pytest.mark.parametrize("name", ["mobilenet_v2 of 250", "clip 200 strong decay"])
def test_features_without_labels_should_choose_a_length_as_good_as_the_best(
    folder: Path, name: str
) -> None:
    assert mean(one.loss for one in outcomes(folder, name, WORDS, "unlabelled")) <= 0.02


def test_estimates_from_features_without_labels_should_be_near_the_truth(folder: Path) -> None:
    found = outcomes(folder, "mobilenet_v2 of 250", WORDS, "unlabelled")

    for measure in ("T1", "u", "H"):
        off = [abs(getattr(one.uncorrected, measure).value - one.truth(measure)) for one in found]
        assert mean(off) <= 0.1


def test_rows_alone_should_be_no_worse_than_the_rows_as_they_come(folder: Path) -> None:
    found = outcomes(folder, "mobilenet_v2", "clip_vit_b32_text", "rows")

    assert mean(one.real.H - one.hindsight.raw for one in found) >= -0.01

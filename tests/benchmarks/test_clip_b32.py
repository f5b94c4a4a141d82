"""What the benchmark on CLIP features prints, and what its figures must keep; the latter skip."""

from pathlib import Path
from statistics import mean

import pytest

from headgraft.models.metrics import Gzsl
from tests.benchmarks.clip_b32 import CLIP, Run, each_fold, line, measure, text_head
from tests.benchmarks.clip_virtual import CONFIG, weigh

pytestmark = pytest.mark.soak


def scores(T1: float, H: float) -> Gzsl:
    return Gzsl(T1=T1, u=0.5, s=0.6, H=H, base=0.7, new=0.7, base_to_new=0.7)


def test_a_line_should_hold_means_and_spreads_and_bracket_what_is_hindsight() -> None:
    runs = [
        Run(scores(0.6, 0.2), scores(0.6, 0.4), 0.45, 2.0),
        Run(scores(0.8, 0.4), scores(0.8, 0.5), 0.55, 4.0),
    ]

    assert line("ridge", runs) == (
        "| `ridge` | 70.0 ± 14.1 | 50.0 ± 0.0 | 60.0 ± 0.0 | 30.0 ± 14.1 [50.0] "
        "| 50.0 ± 0.0 | 60.0 ± 0.0 | 45.0 ± 7.1 | 70.0 ± 0.0 | 3.0 |"
    )


def test_a_line_of_rows_that_nobody_calibrates_should_leave_those_cells_empty() -> None:
    assert line(CLIP, [Run(scores(0.6, 0.2), None, None, 0.0)]) == (
        "| `clip` | 60.0 | 50.0 | 60.0 | 20.0 |  |  |  | 70.0 | 0.0 |"
    )


def test_text_rows_should_reach_t1_83_and_h_65(folder: Path) -> None:
    cases = each_fold(folder, range(5), "cosine")

    found = [measure(fold, text_head(task)) for fold, task in cases]

    assert 100 * mean(one.T1 for one in found) >= 83
    assert 100 * mean(one.H for one in found) >= 65


def test_virtual_features_alone_should_teach_nine_tenths_of_the_heads_accuracy(
    folder: Path,
) -> None:
    ((fold, task),) = each_fold(folder, [0], "cosine")

    worth = weigh(fold, task)

    shares_S = worth.counts_S / CONFIG.count
    assert shares_S.median() >= 0.5
    assert (worth.counts_S == 0).float().mean() <= 0.01
    assert worth.learned.losses[-1] < 0.0015
    assert worth.regression >= 0.9 * worth.head

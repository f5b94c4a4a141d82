"""The plots, as the figures they are made of."""

import numpy as np
import pytest
from matplotlib.lines import Line2D

from headgraft.workers.jobs.report import Estimate, RowMap
from headgraft.workers.report import plots
from headgraft.workers.report.svg import ACCENT
from tests.workers.report import reports


def estimate(u: float = 0.6, s: float = 0.75) -> Estimate:
    return Estimate.model_validate(reports.estimate(u, s))


def points(line: Line2D) -> list[list[float]]:
    """Return a line's points, x and y each."""
    return [[float(part) for part in point] for point in np.asarray(line.get_xydata())]


def test_the_chosen_candidate_should_be_the_one_in_colour() -> None:
    lines = [("ridge 1", estimate(), True), ("ridge 2", estimate(0.4), False)]
    [axes] = plots.accuracy(lines).figure.axes
    coloured = [line for line in axes.lines if line.get_color() == ACCENT]
    assert {round(points(line)[0][1]) for line in coloured} == {0}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ridge 1", "ridge 2"]


def test_an_interval_should_be_drawn_in_per_cent() -> None:
    [axes] = plots.accuracy([("ridge 1", estimate(0.6, 0.6), True)]).figure.axes
    ends = [[x for x, _ in points(line)] for line in axes.lines]
    assert pytest.approx([50, 70]) in ends
    assert pytest.approx([60]) in ends


def test_the_trade_off_should_run_in_order_of_scale_and_mark_one_point() -> None:
    curve = reports.read(reports.report()).curve
    [axes] = plots.trade_off(curve[::-1]).figure.axes
    [line] = [line for line in axes.lines if len(points(line)) == len(curve)]
    assert [x for x, _ in points(line)] == pytest.approx([100 * point.s for point in curve])
    [chosen] = [line for line in axes.lines if line.get_color() == ACCENT]
    assert points(chosen)[0][1] == pytest.approx(40)


def test_lines_of_equal_h_should_hold_that_h() -> None:
    [axes] = plots.trade_off(reports.read(reports.report()).curve).figure.axes
    for level, line in zip(range(20, 100, 20), axes.lines, strict=False):
        for s, u in points(line):
            assert 2 * u * s / (u + s) == pytest.approx(level)


def test_labels_of_the_map_should_not_cover_each_other() -> None:
    close = {"seen": [[0.0, 0.0], [1.0, 1.0]], "unseen": [[0.5, 0.5 + n / 1e4] for n in range(9)]}
    drawing = plots.row_map(RowMap.model_validate(close), [f"name {number}" for number in range(9)])
    assert len(drawing.texts) == 1
    apart = {"seen": [[0.0, 0.0]], "unseen": [[0.0, float(number)] for number in range(5)]}
    assert len(plots.row_map(RowMap.model_validate(apart), list("abcde")).texts) == 5


def test_a_map_of_many_rows_should_be_thinned() -> None:
    many = [[float(number), 0.0] for number in range(10_000)]
    thin = plots.thinned(many)
    assert len(thin) == plots.POINTS_MAX
    assert plots.thinned(many[:3]) == many[:3]


@pytest.mark.parametrize("values", [[2.0], [2.0, 2.0], [0.0], [1e-9, 1e9]])
def test_norms_of_any_size_should_leave_an_axis_of_some_width(values: list[float]) -> None:
    [axes] = plots.norms((2.0, 2.0, 2.0), {"as delivered": values}).figure.axes
    low, high = axes.get_xlim()
    assert low < min(values)
    assert high > max(values)

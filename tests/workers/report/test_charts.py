"""The charts as a reader sees them: marks where the values are, names as text."""

import html
import math
import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from headgraft.workers.report import charts, page
from tests.workers.report import reports


def charts_of(report: dict[str, Any]) -> list[str]:
    """Return the text of each chart of a report's page."""
    return re.findall(r'<svg class="plot".*?</svg>', page.render(reports.read(report)), re.DOTALL)


def drawn(title: str, report: dict[str, Any]) -> ET.Element:
    """Return a page's chart, by its accessible title."""
    [svg] = [
        found
        for found in re.findall(
            r'<svg class="plot".*?</svg>', page.render(reports.read(report)), re.DOTALL
        )
        if f"<title>{title}" in found
    ]
    return ET.fromstring(svg)


def texts(svg: ET.Element) -> list[str | None]:
    return [element.text for element in svg.iter("text")]


def scale(svg: ET.Element, part: str = "x") -> tuple[float, float]:
    """Return, from two labels of an axis, where its 0 is and how far it is to 100."""
    at = {element.text: float(element.get(part, "")) for element in svg.iter("text")}
    # The other axis of the trade-off chart has the same labels.
    others = [element for element in svg.iter("text") if element.text == "0"]
    zero = float(others[-1 if part == "x" else 0].get(part, ""))
    return zero, at["100"] - zero


def starts(element: ET.Element) -> tuple[float, float]:
    """Return where a path starts: the middle of a mark."""
    [(x, y)] = re.findall(r"^M(\S+?) (\S+?)(?=[mHVz])", element.get("d", ""))
    return float(x), float(y)


ACCURACY, TRADE_OFF = "Expected accuracy", "Accuracy on old against new"
MAP, NORMS = "Map of old and new rows", "Norms of new rows"


def test_a_candidate_should_have_its_values_in_per_cent_and_the_chosen_one_the_colour() -> None:
    made = reports.report()
    svg = drawn(ACCURACY, made)
    zero, hundred = scale(svg)
    assert {"ridge 1", "ridge 2"} <= set(texts(svg))
    groups = svg.findall("g")
    assert [group.get("class") for group in groups] == ["new", "faint"]
    for group, candidate in zip(groups, made["tried"], strict=False):
        marks = {
            "T1": [float(one.get("cx", "")) for one in group.findall("circle")],
            "H": [starts(one)[0] for one in group.findall("path[@class='mark']")],
        }
        for name, found in marks.items():
            value = candidate["estimate"][name]["value"]
            assert found == [pytest.approx(zero + hundred * value, abs=0.1)]
        lows = [starts(one)[0] for one in group.findall("path[@class='range']")]
        low = candidate["estimate"]["T1"]["low"]
        assert lows[0] == pytest.approx(zero + hundred * low, abs=0.1)


def test_the_trade_off_should_run_in_order_of_scale_and_mark_one_point() -> None:
    made = reports.report()
    curve = list(made["curve"])
    made["curve"].reverse()
    svg = drawn(TRADE_OFF, made)
    dots = [float(dot.get("cx", "")) for dot in svg.iter("circle")]
    assert dots == sorted(dots, reverse=True)
    assert len(dots) == len(curve)
    assert [text for text in texts(svg) if text and "chosen" in text] == ["chosen: scale 1.4"]
    [group] = [one for one in svg.findall("g") if one.get("class") == "new"]
    [mark] = group.findall("path")
    x, y = starts(mark)
    assert x == pytest.approx(dots[2])
    assert y == pytest.approx(float(list(svg.iter("circle"))[2].get("cy", "")))


@pytest.mark.parametrize("level", [20, 80])
def test_lines_of_equal_h_should_hold_that_h(level: int) -> None:
    points = charts.equal_h(level)
    assert points[0][1] == pytest.approx(100)
    assert points[-1][0] == pytest.approx(100)
    for s, u in points:
        assert 2 * u * s / (u + s) == pytest.approx(level)


def test_names_on_the_map_should_be_text_whatever_they_hold() -> None:
    names = ["<b>$x$ & 中", "@1@", "{{ 7 * 7 }}", "a\x00b", "x" * 200]
    svg = drawn(MAP, reports.report(names))
    shown = [*names[:3], "a\ufffdb", "x" * (charts.COLUMNS_MAX - 1) + "…"]
    assert sorted(str(text) for text in texts(svg)) == sorted(shown)
    titles = [mark.findtext("title") for mark in svg.iter("path")]
    assert titles == [*names[:3], "a\ufffdb", "x" * 200]


def test_labels_of_the_map_should_not_cover_each_other() -> None:
    close = [(100.0, 100 + number / 100) for number in range(9)]
    assert len(charts.labels(close, [f"name {number}" for number in range(9)])) == 1
    apart = [(100.0, 50.0 * number) for number in range(5)]
    assert len(charts.labels(apart, list("abcde"))) == 5


def test_a_chart_of_many_rows_should_be_thinned() -> None:
    made = reports.report([f"new {number}" for number in range(9_000)])
    points = len(list(drawn(MAP, made).iter("path")))
    assert points == 1800 < charts.POINTS_MAX
    assert charts.thinned([1, 2, 3]) == [1, 2, 3]


def test_norms_should_stand_over_the_range_of_the_old_ones() -> None:
    made = reports.report(["a", "b"])
    made["norms"] |= {"seen_min": 1.0, "seen_mean": 2.0, "seen_max": 3.0}
    made["norms"]["unseen"] = {"a": 1.0, "b": 2.0}
    svg = drawn(NORMS, made)
    assert {"by the method", "as delivered", "1", "2", "3"} <= set(texts(svg))
    [band] = svg.findall("path[@class='band']")
    [mean] = svg.findall("path[@class='mean']")
    marks = [starts(mark)[0] for mark in svg.findall("g")[-1]]
    assert marks == [starts(band)[0], starts(mean)[0]]


@pytest.mark.parametrize("values", [[2.0], [2.0, 2.0], [0.0], [1e-9, 1e9]])
def test_values_of_any_size_should_have_an_axis_of_some_width(values: list[float]) -> None:
    axis = charts.framing(values, 0, 100)
    assert axis.low < min(values)
    assert axis.high > max(values)
    assert 2 <= len(axis.ticks) <= 7
    assert all(math.isfinite(axis(value)) for value in values)


def test_a_chart_should_have_a_title_and_no_colour_of_its_own() -> None:
    found = re.findall(
        r'<svg class="plot".*?</svg>', page.render(reports.read(reports.report())), re.DOTALL
    )
    assert len(found) == 4
    for svg in found:
        assert re.match(r'<svg [^>]*role="img"><title>\w', svg)
        assert not re.search(r'(?:fill|stroke|style)="', html.unescape(svg))


def test_a_long_text_should_be_cut_by_its_columns() -> None:
    assert charts.shortened("x" * 200, 10) == "x" * 9 + "…"
    assert charts.columns(charts.shortened("中" * 30, 10)) <= 10
    assert charts.shortened("x" * 10, 10) == "x" * 10


def test_control_characters_should_be_replaced() -> None:
    assert charts.printable("a\x00b\ud800c\n") == "a\ufffdb\ufffdc\ufffd"

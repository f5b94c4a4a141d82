"""Draws the report's plots, each from one part of the report; it knows nothing of the page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headgraft.workers.jobs import report
from headgraft.workers.report.svg import (
    ACCENT,
    BAND,
    FAINT,
    INK,
    LINE,
    OLD,
    PAPER,
    Drawing,
    columns,
    shortened,
)

WIDTH_INCHES, POINTS_AN_INCH = 5.6, 72
FONT, SMALL = 12, 11
POINTS_MAX = 2000
LABELS_MAX = 12
CROWD = 200
# What a letter of a label takes on the map, in points, whatever font the reader has.
LETTER_WIDTH, LETTER_HEIGHT, MAP_HEIGHT = 6.5, 14, 320
LANE = 0.62
# Left of a point this far right, in per cent, a label has room.
LABEL_ROOM = 38

Point = Sequence[float]


def accuracy(lines: Sequence[tuple[str, report.Estimate, bool]]) -> Drawing:
    """Show expected H and T1 with intervals: a label, an estimate and whether chosen a line."""
    axes, drawing = _axes(70 + 26 * len(lines), left=92, bottom=42)
    for row, (_name, found, chosen) in enumerate(lines):
        colour = ACCENT if chosen else FAINT
        _interval(axes, found.T1, row - 0.17, colour, "o", filled=False)
        _interval(axes, found.H, row + 0.17, colour, "D", filled=True)
    axes.set_yticks(range(len(lines)), [line[0] for line in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 100)
    axes.grid(axis="x", color=LINE, linewidth=0.7)
    axes.set_xlabel("expected accuracy, %")
    return drawing


def _interval(
    axes: Axes, figure: report.Figure, row: float, colour: str, marker: str, *, filled: bool
) -> None:
    value, low, high = 100 * figure.value, 100 * figure.low, 100 * figure.high
    axes.plot([low, high], [row, row], color=colour, linewidth=1.6, alpha=0.6, zorder=2)
    face = colour if filled else PAPER
    axes.plot([value], [row], marker, color=colour, markerfacecolor=face, markersize=5, zorder=3)


def trade_off(curve: Sequence[report.TradeOffPoint]) -> Drawing:
    """Show u against s over the row scales, lines of equal H behind, the chosen point marked."""
    axes, drawing = _axes(300, left=48, bottom=42)
    points = sorted(curve, key=lambda point: point.scale)
    s, u = [100 * point.s for point in points], [100 * point.u for point in points]
    for level in range(20, 100, 20):
        _equal_h(axes, level)
    axes.plot(s, u, color=FAINT, linewidth=1.5, marker="o", markersize=3)
    for point in (point for point in points if point.chosen):
        x, y = 100 * point.s, 100 * point.u
        axes.plot([x], [y], "D", color=ACCENT, markersize=9, zorder=4)
        axes.annotate(
            f"chosen: scale {point.scale:.3g}",
            (x, y),
            (-10 if x > LABEL_ROOM else 12, -16),
            textcoords="offset points",
            color=ACCENT,
            horizontalalignment="right" if x > LABEL_ROOM else "left",
            fontsize=FONT,
        )
    axes.set(xlim=(0, 104), ylim=(0, 104))
    axes.set_xlabel("s: old pictures recognised, %")
    axes.set_ylabel("u: new pictures recognised, %")
    return drawing


def _equal_h(axes: Axes, level: int) -> None:
    lowest = level * 100 / (200 - level)  # where the other accuracy is 100 %
    s = [lowest + step * (100 - lowest) / 40 for step in range(41)]
    axes.plot(s, [level * one / (2 * one - level) for one in s], color=LINE, linewidth=1, zorder=0)
    axes.text(103, lowest, f"H {level}", color=FAINT, fontsize=SMALL, va="bottom", ha="right")


def row_map(coordinates: report.RowMap, names: Sequence[str]) -> Drawing:
    """Show old and new rows on the two axes along which the old ones differ most."""
    axes, drawing = _axes(MAP_HEIGHT, left=10, bottom=10)
    seen, unseen = thinned(coordinates.seen), thinned(coordinates.unseen)
    axes.scatter(*_columns(seen), 12, OLD, alpha=0.5, linewidths=0)
    size = 24 if len(unseen) <= CROWD else 8
    axes.scatter(*_columns(unseen), size, ACCENT, marker="D", linewidths=0, gid="new-rows")
    drawing.titles["new-rows"] = thinned(names)
    axes.margins(0.1)
    axes.set(xticks=[], yticks=[])
    axes.set_axis_off()
    axes.autoscale_view()
    _label(axes, drawing, unseen, thinned(names))
    return drawing


def _label(axes: Axes, drawing: Drawing, points: Sequence[Point], names: Sequence[str]) -> None:
    """Name the outermost points, as long as no name covers another."""
    places = [[float(part) for part in place] for place in axes.transData.transform(points)]
    centre = [sum(part) / len(places) for part in zip(*places, strict=True)]
    outermost = sorted(range(len(places)), key=lambda one: -math.dist(places[one], centre))
    middle = centre[0] * POINTS_AN_INCH / axes.figure.dpi
    taken: list[tuple[float, float, float]] = []
    for index in outermost:
        x, y = (part * POINTS_AN_INCH / axes.figure.dpi for part in places[index])
        width = LETTER_WIDTH * columns(shortened(names[index]))
        turned = _is_turned(x, middle, width)
        box = (x - width, x, y) if turned else (x, x + width, y)
        if len(taken) == LABELS_MAX or any(_overlap(box, other) for other in taken):
            continue
        taken.append(box)
        axes.annotate(
            drawing.mark(names[index]),
            (points[index][0], points[index][1]),
            (-7 if turned else 7, -4),
            textcoords="offset points",
            fontsize=SMALL,
            color=INK,
            horizontalalignment="right" if turned else "left",
        )


def _is_turned(x: float, middle: float, width: float) -> bool:
    """Tell whether a label stands left of its point: on the outer side, where there is room."""
    outward_left = x < middle
    has_room = width + 8 < (x if outward_left else WIDTH_INCHES * POINTS_AN_INCH - x)
    return outward_left == has_room


def _overlap(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    return one[0] < other[1] and other[0] < one[1] and abs(one[2] - other[2]) < LETTER_HEIGHT


def thinned(points: Sequence[Any]) -> list[Any]:
    """Keep at most POINTS_MAX of a long list, evenly spread over it."""
    step = -(-len(points) // POINTS_MAX) or 1
    return list(points[::step])


def norms(seen: tuple[float, float, float], lanes: Mapping[str, Sequence[float]]) -> Drawing:
    """Show lanes of new rows' norms over the range and the mean (low, mean, high) of old ones."""
    axes, drawing = _axes(62 + 34 * len(lanes), left=100, bottom=42)
    low, mean, high = seen
    axes.axvspan(low, high, color=BAND, zorder=-2)
    axes.axvline(mean, color=OLD, linewidth=1.4, zorder=-1)
    for row, values in enumerate(lanes.values()):
        shown = thinned(values)
        spread = [row + LANE * (place % 7 - 3) / 7 for place in range(len(shown))]
        colour = ACCENT if row == len(lanes) - 1 else FAINT
        heights = spread if len(shown) > 1 else [float(row)]
        axes.scatter(shown, heights, 14, colour, marker="D", alpha=0.6, linewidths=0)
    axes.set_yticks(range(len(lanes)), list(lanes))
    axes.set_ylim(len(lanes) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    _frame(axes, [low, high, *(value for values in lanes.values() for value in values)])
    axes.set_xlabel("norm of a row")
    return drawing


def _frame(axes: Axes, values: Sequence[float]) -> None:
    # Equal norms would leave an axis of no width.
    margin = max(0.08 * (max(values) - min(values)), 0.02 * max(map(abs, values)), 1e-9)
    axes.set_xlim(min(values) - margin, max(values) + margin)


def _axes(height: float, *, left: float, bottom: float) -> tuple[Axes, Drawing]:
    """Make axes with fixed margins, in points: a layout engine would cost more than the drawing."""
    width = WIDTH_INCHES * POINTS_AN_INCH
    figure = Figure(figsize=(WIDTH_INCHES, height / POINTS_AN_INCH), facecolor="none")
    axes = figure.add_axes(
        (left / width, bottom / height, (width - left - 12) / width, (height - bottom - 8) / height)
    )
    axes.set_facecolor("none")
    axes.tick_params(colors=FAINT, labelsize=SMALL, labelcolor=INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(color=INK, fontsize=FONT)
    return axes, Drawing(figure)


def _columns(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [point[0] for point in points], [point[1] for point in points]

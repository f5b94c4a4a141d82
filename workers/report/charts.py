"""Scales, curves and labels of the report's charts; templates/charts.html draws them as SVG."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, MAP_HEIGHT = 404, 320
POINTS_MAX = 2000
LABELS_MAX = 12
# What a letter of a label takes on the map, whatever font the reader has.
LETTER_WIDTH, LETTER_HEIGHT = 6.5, 14
COLUMNS_MAX = 26
WIDE = {"W", "F"}
UNPRINTABLE = {"Cc", "Cs"}

Point = Sequence[float]


@dataclass(frozen=True)
class Axis:
    """A linear scale from values `low` to `high` to SVG coordinates `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return a value's coordinate, as exact as can be seen."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[float]:
        """Multiples of 1, 2 or 5 times a power of ten, at most seven."""
        least = (self.high - self.low) / 6
        power = 10.0 ** math.floor(math.log10(least))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [number * step for number in range(first, last + 1)]


def framing(values: Sequence[float], start: float, end: float, margin: float = 0.08) -> Axis:
    """Return an axis that holds all values with a margin, also where they are all the same."""
    low, high = min(values), max(values)
    room = max(margin * (high - low), 0.02 * max(abs(low), abs(high)), 1e-9)
    return Axis(low - room, high + room, start, end)


def equal_h(level: float) -> list[Point]:
    """Return points (s, u) in per cent whose harmonic mean is `level`, u falling from 100."""
    lowest = level * 100 / (200 - level)  # where the other accuracy is 100 %
    s = [lowest * (100 / lowest) ** (step / 40) for step in range(41)]
    return [(share, level * share / (2 * share - level)) for share in s]


@dataclass(frozen=True)
class Label:
    """A name beside a point; `anchor` is the SVG text-anchor."""

    x: float
    y: float
    anchor: str
    text: str


def labels(points: Sequence[Point], names: Sequence[str]) -> list[Label]:
    """Name the outermost points of a map, as long as no name covers another."""
    centre = [sum(part) / len(points) for part in zip(*points, strict=True)]
    outermost = sorted(range(len(points)), key=lambda index: -math.dist(points[index], centre))
    made: list[Label] = []
    taken: list[tuple[float, float, float]] = []
    for index in outermost:
        x, y = points[index]
        text = shortened(names[index])
        width = LETTER_WIDTH * columns(text)
        turned = _is_turned(x, centre[0], width)
        box = (x - width, x, y) if turned else (x, x + width, y)
        if len(taken) == LABELS_MAX or any(_overlap(box, other) for other in taken):
            continue
        taken.append(box)
        made.append(Label(x - 7, y, "end", text) if turned else Label(x + 7, y, "start", text))
    return made


def _is_turned(x: float, middle: float, width: float) -> bool:
    """Return whether a label stands left of its point: on the outer side, where there is room."""
    outward_left = x < middle
    has_room = width + 8 < (x if outward_left else WIDTH - x)
    return outward_left == has_room


def _overlap(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    return one[0] < other[1] and other[0] < one[1] and abs(one[2] - other[2]) < LETTER_HEIGHT


def thinned(points: Sequence[Any]) -> list[Any]:
    """Keep at most POINTS_MAX of a long list, evenly spread over it."""
    step = -(-len(points) // POINTS_MAX) or 1
    return list(points[::step])


def shortened(text: str, limit: int = COLUMNS_MAX) -> str:
    """Cut a text to what fits a chart."""
    for index in range(len(text)):
        if columns(text[: index + 1]) > limit:
            return text[: index - 1] + "…"
    return text


def columns(text: str) -> int:
    """Count the columns a text takes: letters of East Asian scripts take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in WIDE else 1 for letter in text)


def printable(text: str) -> str:
    """Show control characters, which no page may hold, as the replacement character."""
    return "".join(
        "\ufffd" if unicodedata.category(letter) in UNPRINTABLE else letter for letter in text
    )


# What templates/charts.html computes with.
GLOBALS: dict[str, Any] = {
    "WIDTH": WIDTH,
    "MAP_HEIGHT": MAP_HEIGHT,
    "Axis": Axis,
    "equal_h": equal_h,
    "framing": framing,
    "labels": labels,
    "thinned": thinned,
}

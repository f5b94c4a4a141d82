"""Turns a matplotlib figure into an SVG element that stands in a page without style attributes.

It does not know what the figure shows. Strangers' text never reaches matplotlib, which would read
`$` as mathematics and warn of letters that its font lacks: figures carry marks, which are
replaced here, and the serializer escapes what it writes.
"""

import io
import re
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

INK, FAINT, LINE, BAND = "#111111", "#777777", "#dddddd", "#eeeeee"
OLD, ACCENT, PAPER = "#999999", "#0072b2", "#ffffff"
# What stands for a colour in a figure, and the page's own, which differs in the dark.
COLOURS = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    LINE: "var(--line)",
    BAND: "var(--band)",
    OLD: "var(--old)",
    ACCENT: "var(--accent)",
    PAPER: "var(--paper)",
}
COLUMNS_MAX = 26
WIDE = {"W", "F"}
UNPRINTABLE = {"Cc", "Cs"}
DROPPED = {"font-family", "stroke-dashoffset"}
PLACED = {"x", "y", "href"}
GEOMETRY = ("d", "x", "y", "transform", "viewBox", "points")
METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
NUMBER = re.compile(r"-?\d+\.\d+")

# matplotlib's configuration is the process's.
_drawing = threading.Lock()


@dataclass
class Drawing:
    """A figure, the texts its marks stand for, and the names of the points of groups by id."""

    figure: Figure
    texts: dict[str, str] = field(default_factory=dict)
    titles: dict[str, Sequence[str]] = field(default_factory=dict)

    def mark(self, text: str) -> str:
        """Return what to draw in the place of a text that we did not write."""
        mark = f"@{len(self.texts)}@"
        self.texts[mark] = shortened(text)
        return mark


def as_svg(drawing: Drawing, key: str, described: str) -> Markup:
    """Draw; `key` keeps the ids of a page's figures apart, `described` is read aloud."""
    buffer = io.StringIO()
    with _drawing, rc_context({"svg.fonttype": "none", "svg.hashsalt": key}):
        drawing.figure.savefig(buffer, format="svg", metadata=METADATA)
    root = ET.fromstring(buffer.getvalue())  # noqa: S314  # matplotlib's, free of strangers' text
    _simplify(root)
    _share_attributes(root)
    _name_points(root, drawing)
    _keep_used_ids(root, key)
    for element in root.iter("text"):
        element.text = printable(drawing.texts.get(element.text or "", element.text or ""))
    root.attrib.update({"role": "img", "aria-label": described, "class": "plot"})
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704  # the serializer escaped it


def shortened(text: str, limit: int = COLUMNS_MAX) -> str:
    """Cut a text to what fits a plot."""
    for index in range(len(text)):
        if columns(text[: index + 1]) > limit:
            return text[: index - 1] + "…"
    return text


def columns(text: str) -> int:
    """Count the columns a text takes: letters of East Asian scripts take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in WIDE else 1 for letter in text)


def printable(text: str) -> str:
    """Show control characters, which no page may hold, as the replacement character."""
    return "".join("\ufffd" if unicodedata.category(one) in UNPRINTABLE else one for one in text)


def _simplify(root: ET.Element) -> None:
    """Drop namespaces, white space and style elements; write styles as attributes, briefly."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.tail = None
        if element.tag != "text":
            element.text = None
        for style in element.findall("{*}style"):
            element.remove(style)
        given = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        styles = _declarations(given.pop("style", ""))
        element.attrib = {name: _brief(name, value) for name, value in (given | styles).items()}


def _declarations(style: str) -> dict[str, str]:
    """Read a style in the page's colours: its policy forbids the style attribute itself."""
    pairs = (part.partition(":") for part in style.split(";") if ":" in part)
    named = {name.strip(): value.strip() for name, _, value in pairs}
    return {name: COLOURS.get(value, value) for name, value in named.items() if name not in DROPPED}


def _brief(name: str, value: str) -> str:
    if name not in GEOMETRY:
        return value
    short = NUMBER.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value)
    return " ".join(short.split())


def _share_attributes(root: ET.Element) -> None:
    """Say once of a group what every point in it says."""
    for group in root.iter("g"):
        points = list(group)
        if len(points) < 2 or {one.tag for one in points} != {"use"}:
            continue
        shared = {
            name: value
            for name, value in points[0].attrib.items()
            if name not in PLACED and all(one.get(name) == value for one in points)
        }
        group.attrib.update(shared)
        for one in points:
            one.attrib = {k: v for k, v in one.attrib.items() if k not in shared}


def _name_points(root: ET.Element, drawing: Drawing) -> None:
    """Give each point of a scatter its name, shown when pointed at."""
    groups = {group.get("id"): group for group in root.iter("g")}
    for group, names in drawing.titles.items():
        points = list(groups[group].iter("use"))
        for point, name in zip(points, names, strict=True):
            ET.SubElement(point, "title").text = printable(name)


def _keep_used_ids(root: ET.Element, key: str) -> None:
    values = [value for element in root.iter() for value in element.attrib.values()]
    found = {name for value in values for name in re.findall(r"#([\w.]+)", value)}
    short = {name: f"{key}-{number}" for number, name in enumerate(sorted(found))}
    for element in root.iter():
        own = element.attrib.pop("id", None)
        for name, value in element.attrib.items():
            if "#" in value:
                element.set(name, re.sub(r"#([\w.]+)", lambda m: f"#{short[m[1]]}", value))
        if own in short:
            element.set("id", short[own])

"""Figures as SVG elements that need no style attribute."""

from xml.etree import ElementTree as ET

from matplotlib.figure import Figure

from headgraft.workers.report.svg import ACCENT, INK, Drawing, as_svg, columns, printable, shortened


def drawing() -> tuple[Drawing, Figure]:
    figure = Figure(figsize=(2, 2))
    return Drawing(figure), figure


def test_strangers_text_should_reach_the_svg_escaped_and_never_matplotlib() -> None:
    made, figure = drawing()
    name = "<b>$x$ & 中"
    figure.text(0.1, 0.5, made.mark(name))
    svg = as_svg(made, "k", "about")
    assert "&lt;b&gt;$x$ &amp; 中" in svg
    assert [element.text for element in ET.fromstring(svg).iter("text")] == [name]


def test_a_name_that_looks_like_a_mark_should_stay_itself() -> None:
    made, figure = drawing()
    figure.text(0.1, 0.5, made.mark("@1@"))
    figure.text(0.1, 0.2, made.mark("second"))
    texts = [element.text for element in ET.fromstring(as_svg(made, "k", "")).iter("text")]
    assert texts == ["@1@", "second"]


def test_colours_should_be_the_pages_own() -> None:
    made, figure = drawing()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.plot([0, 1], [0, 1], color=ACCENT)
    figure.text(0.1, 0.5, "word", color=INK)
    svg = as_svg(made, "k", "about")
    assert 'stroke="var(--accent)"' in svg
    assert 'fill="var(--ink)"' in svg
    assert "style" not in svg


def test_points_should_carry_their_names_and_say_what_they_share_once() -> None:
    made, figure = drawing()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.scatter([0.2, 0.4, 0.6], [0.2, 0.4, 0.6], color=ACCENT, gid="points")
    made.titles["points"] = ["a", "<b>", "c"]
    root = ET.fromstring(as_svg(made, "k", "about"))
    points = [one for one in root.iter("use") if one.find("title") is not None]
    assert [one.findtext("title") for one in points] == ["a", "<b>", "c"]
    assert all(set(one.attrib) == {"href", "x", "y"} for one in points)


def test_ids_of_two_figures_should_differ() -> None:
    ids = []
    for key in ("one", "two"):
        made, figure = drawing()
        figure.add_axes((0.2, 0.2, 0.5, 0.5)).plot([0, 1], [0, 1], marker="o")
        root = ET.fromstring(as_svg(made, key, ""))
        ids.append({element.get("id") for element in root.iter() if element.get("id")})
    assert ids[0]
    assert ids[0].isdisjoint(ids[1])


def test_a_long_text_should_be_cut_by_its_columns() -> None:
    assert shortened("short") == "short"
    assert shortened("x" * 200, 10) == "x" * 9 + "…"
    assert columns(shortened("中" * 30, 10)) <= 10
    assert shortened("x" * 10, 10) == "x" * 10


def test_control_characters_should_be_replaced() -> None:
    assert printable("a\x00b\ud800c\n") == "a\ufffdb\ufffdc\ufffd"

"""The report as one page to look at: no script, no request, every stranger's text escaped.

It knows nothing of how the page is served.
"""

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import structlog
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from headgraft.models.selection.search import NO_DIFFERENCE
from headgraft.workers.jobs.manifest import ReportPage
from headgraft.workers.jobs.report import Report, RowNorms
from headgraft.workers.report import attention, plots, wording
from headgraft.workers.report.svg import Drawing, as_svg, printable
from headgraft.workers.report.wording import SHOWN_MAX, class_rows

PAGE_FILE = "report.html"
TEMPLATES = files("headgraft.workers.report") / "templates"
NO_DIFFERENCE_POINTS = round(100 * NO_DIFFERENCE)
BARS_MAX = 12
PLOTS = ("accuracy", "trade_off", "map", "norms")
log = structlog.get_logger()


def render(report: Report) -> str:
    """Return the page of a report; parts that the report lacks are left out."""
    rows = class_rows(report)
    lines = wording.candidates(report)
    return _template().render(
        report=report,
        style=Markup(_style()),  # noqa: S704  # our own file
        style_source=style_source(),
        headline=wording.headline(report),
        measures=wording.measures(report.estimate),
        reasons=wording.reasons(report),
        candidates=lines,
        no_difference=NO_DIFFERENCE_POINTS,
        rows=rows[:SHOWN_MAX],
        rows_left=len(rows) - SHOWN_MAX,
        warned=sum(row.warning is not None for row in rows),
        settings=wording.settings_text(report.settings),
        plots=_plots(report, lines),
    )


def write(report: Report, target: Path) -> ReportPage | None:
    """Write the page; return what its server must know.

    The head is what was asked for: a page that cannot be drawn is None and a line in the log.
    """
    try:
        text = render(report)
    except Exception:
        log.exception("page_not_drawn")
        return None
    target.write_text(text, encoding="utf-8")
    return ReportPage(style_source=style_source())


@cache
def style_source() -> str:
    """Return the Content-Security-Policy source that allows the page's style, and nothing else."""
    return "sha256-" + b64encode(sha256(_style().encode()).digest()).decode()


def _plots(report: Report, lines: Sequence[wording.Candidate]) -> dict[str, Markup | None]:
    """Draw what the report has figures for."""
    drawn: dict[str, Markup | None] = dict.fromkeys(PLOTS)
    bars = [
        (f"{one.method} {number}", one.estimate, one.chosen)
        for number, one in enumerate(lines, start=1)
        if one.estimate
    ]
    if bars:
        described = "Expected accuracy of each candidate, with intervals"
        drawn["accuracy"] = as_svg(plots.accuracy(bars[:BARS_MAX]), "a", described)
    if report.curve:
        described = "Accuracy on old against new classes, the chosen point marked"
        drawn["trade_off"] = as_svg(plots.trade_off(report.curve), "t", described)
    if report.norms is None:
        return drawn
    names = list(report.norms.unseen)
    if report.map and len(report.map.unseen) == len(names):
        described = "Map of old and new rows"
        drawn["map"] = as_svg(plots.row_map(report.map, names), "m", described)
    described = "Norms of new rows over those of old ones"
    drawn["norms"] = as_svg(_norms(report.norms, report.raw_norms), "n", described)
    return drawn


def _norms(norms: RowNorms, before: Sequence[float]) -> Drawing:
    lanes = {"by the method": before} if before else {}
    lanes["as delivered"] = list(norms.unseen.values())
    return plots.norms((norms.seen_min, norms.seen_mean, norms.seen_max), lanes)


@cache
def _style() -> str:
    return (TEMPLATES / "report.css").read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["printable"] = printable
    environment.filters["percent"] = wording.percent
    environment.filters["cells"] = attention.cells
    return environment.from_string((TEMPLATES / "report.html").read_text(encoding="utf-8"))

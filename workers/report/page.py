"""Renders the report as one page: no script, no request, all text of users escaped."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import structlog
from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from headgraft.models.selection.search import NO_DIFFERENCE
from headgraft.workers.jobs.manifest import ReportPage
from headgraft.workers.jobs.report import Report
from headgraft.workers.report import attention, charts, wording
from headgraft.workers.report.wording import SHOWN_MAX, class_rows

PAGE_FILE = "report.html"
TEMPLATES = files("headgraft.workers.report") / "templates"
NO_DIFFERENCE_POINTS = round(100 * NO_DIFFERENCE)
BARS_MAX = 12
log = structlog.get_logger()


def render(report: Report) -> str:
    """Return the page of a report; parts that the report lacks are left out."""
    rows = class_rows(report)
    lines = wording.candidates(report)
    bars = [
        (f"{line.method} {number}", line.estimate, line.chosen)
        for number, line in enumerate(lines, start=1)
        if line.estimate
    ]
    return _template().render(
        report=report,
        style=Markup(_style()),  # noqa: S704  # our own file
        style_source=style_source(),
        headline=wording.headline(report),
        features_sent=wording.features_sent(report.features) if report.features else "",
        measures=wording.measures(report.estimate),
        reasons=wording.reasons(report),
        candidates=lines,
        no_difference=NO_DIFFERENCE_POINTS,
        rows=rows[:SHOWN_MAX],
        rows_left=len(rows) - SHOWN_MAX,
        warned=sum(row.warning is not None for row in rows),
        settings=wording.settings_text(report.settings),
        bars=bars[:BARS_MAX],
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


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _style() -> str:
    return _read("report.css")


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_read),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = charts.printable
    environment.filters["percent"] = wording.percent
    environment.filters["cells"] = attention.cells
    environment.globals.update(charts.GLOBALS)
    return environment.get_template("report.html")

"""The page of a real job, served by our API and opened in a real browser."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx
import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, sync_playwright

from headgraft import Headgraft
from tests import checkpoints
from tests.processes import Processes

HOSTILE = "</script><img src=x onerror=alert(1)>"
NAMES = [HOSTILE, "x" * 200, "一種名字很長的動物" * 10, "قطة برية صغيرة", "{{ 7 * 7 }}"]
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium; without one this is a skip, and a failure where CI is true."""
    chromium = shutil.which("chromium")
    if chromium is None:
        assert os.environ.get("CI") != "true", "chromium is not installed"
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield running
        running.close()


@pytest.fixture(scope="module")
def address(product: Processes, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Run a job with the names through API, Redis and worker; return where its report is."""
    request = checkpoints.request(unseen=len(NAMES), add=NAMES)
    file = checkpoints.write(tmp_path_factory.mktemp("in") / "net.safetensors")
    with Headgraft(product.url) as client:
        queued = client.submit(file, **request)
        ended = client.wait(queued.id, timeout_seconds=60)
        assert ended.status == "succeeded", ended.error
        assert HOSTILE not in client.report_html(queued.id)
    return f"{product.url}/v1/injections/{queued.id}/report"


@dataclass
class Seen:
    """What a page did while it was open."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def dismiss(self, dialog: Dialog) -> None:
        """Note a dialog and close it, or the page would wait."""
        self.dialogs.append(dialog.message)
        dialog.dismiss()


@pytest.fixture(params=WIDTHS)
def seen(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Seen]:
    """Open an empty page of one of the widths and note what happens in it."""
    page = browser.new_page(viewport={"width": request.param, "height": 900})
    noted = Seen(page)
    page.on("console", lambda message: noted.complaints.append(message.text))
    page.on("pageerror", lambda error: noted.complaints.append(str(error)))
    page.on("request", lambda sent: noted.requests.append(sent.url))
    page.on("dialog", noted.dismiss)
    yield noted
    page.close()


def test_the_page_should_open_without_a_complaint_or_a_further_request(
    seen: Seen, address: str
) -> None:
    answer = seen.page.goto(address, wait_until="networkidle")

    assert answer is not None
    assert answer.headers["content-type"].startswith("text/html")
    assert seen.complaints == []
    assert seen.requests == [address]
    assert seen.dialogs == []


def test_every_name_should_be_seen_as_the_text_it_is(seen: Seen, address: str) -> None:
    seen.page.goto(address)

    for name in NAMES:
        assert seen.page.locator("td.who bdi", has_text=name).is_visible()
    assert seen.page.locator("script, img, iframe, a").count() == 0


def test_the_page_should_be_styled_and_fit_its_width(seen: Seen, address: str) -> None:
    seen.page.goto(address)

    width = seen.page.evaluate("document.documentElement.scrollWidth")
    assert width <= seen.page.evaluate("innerWidth")
    card = seen.page.locator(".card").first
    assert card.evaluate("one => getComputedStyle(one).borderRadius") != "0px"
    assert seen.page.locator("svg.plot").count() == 4
    for plot in seen.page.locator("svg.plot").all():
        box = plot.bounding_box()
        assert box is not None
        assert box["width"] > 250
        assert box["height"] > 80


def test_the_page_should_have_its_own_colours_in_the_dark(seen: Seen, address: str) -> None:
    papers = []
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        seen.page.emulate_media(color_scheme=scheme)
        seen.page.goto(address)
        papers.append(
            seen.page.evaluate(
                "['html', '.plot text'].map(one => [getComputedStyle(document.body)"
                ".backgroundColor, getComputedStyle(document.querySelector(one)).fill])"
            )
        )
    assert papers[0][0][0] == "rgb(255, 255, 255)"
    assert papers[0] != papers[1]
    assert papers[0][1][1] != papers[1][1][1]


@pytest.mark.parametrize(
    "planted",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<p style='color: red'>",
        "<style>p { color: red }</style>",
    ],
)
def test_what_is_not_ours_should_be_stopped_by_the_policy(
    seen: Seen, address: str, planted: str
) -> None:
    """Hold the rest of this file to account: were an escape missing, it would complain."""

    def plant(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("<header>", planted))

    seen.page.route("**/report", plant)
    seen.page.goto(address)

    assert seen.complaints
    assert seen.dialogs == []


def test_a_page_saved_as_a_file_should_carry_its_policy(
    seen: Seen, address: str, tmp_path: Path
) -> None:
    saved = tmp_path / "report.html"
    text = httpx.get(address, params={"format": "html"}).text
    saved.write_text(text, encoding="utf-8")
    seen.page.goto(saved.as_uri())
    assert seen.complaints == []

    saved.write_text(text.replace("<header>", "<script>alert(1)</script>"), encoding="utf-8")
    seen.page.goto(saved.as_uri())
    assert seen.complaints
    assert seen.dialogs == []

"""The maps of attention as a browser shows them, from a page saved as a file."""

import pytest

from headgraft.workers.report.page import PAGE_FILE
from tests.service.injections.test_report_in_a_browser import (  # noqa: F401  # fixtures
    Seen,
    browser,
    seen,
)
from tests.workers.run.test_attribute_head import run


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("job")
    run(folder, settings={"preset": "paper", "epochs": 15})
    return (folder / PAGE_FILE).as_uri()


def test_every_map_should_be_drawn_within_the_page_and_without_a_complaint(
    seen: Seen,  # noqa: F811  # the fixture
    address: str,
) -> None:
    seen.page.goto(address)

    maps = seen.page.locator("svg.map")
    assert maps.count() == 30
    width = seen.page.evaluate("document.documentElement.clientWidth")
    for number in range(maps.count()):
        box = maps.nth(number).bounding_box()
        assert box is not None
        assert box["width"] > 20
        assert box["height"] > box["width"]  # three rows of two regions
        assert box["x"] + box["width"] <= width
    shades = seen.page.evaluate(
        "[...document.querySelector('svg.map').querySelectorAll('rect.fill')]"
        ".map(cell => Number(getComputedStyle(cell).fillOpacity))"
    )
    assert max(shades) == 1
    assert len(set(shades)) > 1
    assert seen.complaints == []
    assert seen.requests == [address]

"""The report as JSON or as a page: what a client prefers, and the headers a page is shown under."""

import httpx
import pytest

from headgraft.service.injections import download_formats
from headgraft.workers.store import Store
from tests.ledger import Ledger
from tests.processes import Processes
from tests.service.files import problem
from tests.service.injections.finished import finished
from tests.service.injections.test_routes import created

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
STYLE = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
PAGE = "<!doctype html><title>\u00e4</title>".encode()


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ([], "json"),
        (["*/*"], "json"),
        (["application/json"], "json"),
        (["text/html"], "html"),
        (["text/*"], "html"),
        ([BROWSER], "html"),
        (["text/html;q=0.5, application/json"], "json"),
        (["text/html;q=0.5, application/json;q=0.4"], "html"),
        (["text/html;q=0.5, */*"], "json"),
        (["text/html, */*;q=0.1"], "html"),
        (["text/html;q=0, */*"], "json"),
        (["application/json;q=0, */*"], "html"),
        (["text/html;charset=utf-8"], "html"),
        (["TEXT/HTML; Q=0.9, application/json; q=0.8"], "html"),
        (["application/json;q=0.1", "text/html"], "html"),
        (["text/html;q=loud, application/json;q=0.1"], "json"),
        (["text/html;q=nan, application/json;q=0.1"], "json"),
        (["image/png"], "json"),
        ([",;,=;q"], "json"),
    ],
)
def test_a_page_should_go_to_who_prefers_html(accept: list[str], expected: str) -> None:
    assert download_formats.report_format(None, accept) == expected


@pytest.mark.parametrize("asked", ["json", "html"])
def test_what_is_asked_for_should_go_before_what_is_preferred(
    asked: download_formats.ReportFormat,
) -> None:
    for accept in ("text/html", "application/json"):
        assert download_formats.report_format(asked, [accept]) == asked


def succeeded(api: httpx.Client, ledger: Ledger, store: Store, *, page: bytes | None) -> str:
    """Do all that a worker does; return the address of the report."""
    files = {"report.json": b'{"kind": "report"}'} | ({"report.html": page} if page else {})
    told = page and {"style_source": STYLE}
    return f"{finished(api, ledger, store, files, page=told)}/report"


@pytest.fixture
def store(open_api: Processes) -> Store:
    """Return the store that the server without keys serves from."""
    return Store(f"file://{open_api.store_folder}")


def test_a_browser_should_get_the_page_and_others_json(
    api: httpx.Client, ledger: Ledger, store: Store
) -> None:
    report = succeeded(api, ledger, store, page=PAGE)

    for shown in (
        api.get(report, headers={"Accept": BROWSER}),
        api.get(report, params={"format": "html"}),
    ):
        assert shown.content == PAGE
        assert shown.headers["content-type"] == "text/html; charset=utf-8"
        assert shown.headers["content-length"] == str(len(PAGE))
        assert shown.headers["vary"] == "Accept"
    for data in (api.get(report), api.get(report, params={"format": "json"})):
        assert data.json() == {"kind": "report"}
        assert data.headers["content-type"] == "application/json"
        assert data.headers["vary"] == "Accept"


def test_a_page_should_be_allowed_its_own_style_and_nothing_else(
    api: httpx.Client, ledger: Ledger, store: Store
) -> None:
    page = api.get(succeeded(api, ledger, store, page=PAGE), params={"format": "html"})

    policy = page.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", f"style-src '{STYLE}'", "img-src data:", "sandbox"} <= set(policy)
    assert not [part for part in policy if "unsafe" in part or "http" in part or "*" in part]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"


def test_a_job_without_a_page_should_say_what_it_left(
    api: httpx.Client, ledger: Ledger, store: Store
) -> None:
    report = succeeded(api, ledger, store, page=None)

    document = problem(api.get(report, headers={"Accept": "text/html"}), 404, "not_found")
    assert "left no report.html; it left report.json" in document["detail"]


def test_a_page_should_not_be_there_before_its_time(api: httpx.Client) -> None:
    report = f"/v1/injections/{created(api)}/report"

    problem(api.get(report, params={"format": "html"}), 409, "not_ready")
    problem(api.get(report, params={"format": "pdf"}), 422, "invalid_request")
    unknown = "/v1/injections/inj_000000000000000000000000/report?format=html"
    problem(api.get(unknown), 404, "not_found")


def test_the_document_of_the_api_should_name_both_formats(api: httpx.Client) -> None:
    operation = api.get("/openapi.json").json()["paths"]["/v1/injections/{id}/report"]["get"]
    assert set(operation["responses"]["200"]["content"]) == {"application/json", "text/html"}
    assert "format" in [one["name"] for one in operation["parameters"]]

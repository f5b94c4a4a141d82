"""The page of a report: what it shows, and that it holds nothing but itself."""

import base64
import hashlib
import html
import re
import time
from pathlib import Path
from typing import Any

import pytest
import structlog

from headgraft.workers.jobs.report import Report
from headgraft.workers.report import page
from headgraft.workers.report.wording import SHOWN_MAX
from tests import checkpoints
from tests.workers.report import reports
from tests.workers.run.test_job import run, source, spec  # noqa: F401  # a fixture


def style_of(text: str) -> str:
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    return str(style)


def shown(text: str) -> str:
    """Return a page's text without its markup, white space as one space."""
    body = text.partition("<body>")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_the_headline_should_say_what_the_customer_gets() -> None:
    text = shown(page.render(reports.read(reports.report()))).replace("\u202f", " ")
    assert "With 10 new classes added, expect the head to recognise 60 % (50 to 70 %)" in text
    assert "75 % (65 to 85 %) of those of the 20 old classes" in text


def test_every_part_of_a_calibrated_report_should_be_shown() -> None:
    text = page.render(reports.read(reports.report()))
    assert text.count("<svg") == 4 + len(reports.NAMES)  # the plots, and a bar for each class
    words = shown(text)
    assert words.index("Poor: little is known of") < words.index("With 10 new classes added")
    for part in (
        "What helps most: Describe the new classes. Expected gain: typically 13 points of H.",
        "Old classes at risk",
        "12.3 points",
        "What to expect",
        "estimated without a picture",
        "skipped: it would take about 300 s",
        "chosen: scale 1.4",
        "nothing related is known",
        "Add a one-line description.",
        "The old rows are the same, bit for bit",
        "0123" * 16,
        "synthesize 0.50",
    ):
        assert part in words


def test_strangers_names_should_be_text_and_nothing_else() -> None:
    names = [*reports.NAMES, "plain"]
    made = reports.report(names)
    made["outlook"]["plain"]["nearest"][0][0] = "<svg onload=alert(2)>"
    made["head"]["weight"] = "<i>weight</i>"
    made["class_sized_tensors"] = ["<u>other</u>"]
    made["estimate"]["reasons"] = ["<b>reason</b>"]
    text = page.render(reports.read(made))
    found = re.findall(r"<(?:script|img|b|i|u|iframe|object|link|a)\b[^>]*>", text)
    assert found == ['<link rel="icon" href="data:,">', "<b>"]
    assert "<b>ridge</b>" in text
    assert not re.search(r"<[^>]*\son\w+=", re.sub(r'"[^"]*"', '""', text))
    words = shown(text)
    for name in (reports.HOSTILE, "$\\frac{a}{b}$", "{{ 7 * 7 }}", "<svg onload=alert(2)>"):
        assert name in words
    assert "\u0007" not in text


def test_the_page_should_name_no_other_address_and_carry_no_style_attribute() -> None:
    text = page.render(reports.read(reports.report()))
    assert re.findall(r"(?:https?:)?//[a-z]", text) == []
    assert not re.search(r'\sstyle="', text)
    assert set(re.findall(r'(?:href|src)="([^"#]*)"', text)) == {"data:,"}


def test_the_source_of_the_style_should_be_the_digest_of_the_only_style() -> None:
    text = page.render(reports.read(reports.report()))
    digest = hashlib.sha256(style_of(text).encode()).digest()
    assert page.style_source() == "sha256-" + base64.b64encode(digest).decode()
    assert f"style-src '{page.style_source()}'" in text


def test_ids_should_be_unique_and_every_reference_should_lead_somewhere() -> None:
    text = page.render(reports.read(reports.report()))
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([\w.-]+)', text)) <= set(ids)


def test_a_report_without_calibration_should_say_that_nothing_was_estimated() -> None:
    words = shown(page.render(reports.read(reports.plain())))
    assert "what accuracy to expect is not known" in words
    assert "without calibration" in words
    assert "What was tried" not in words


def test_a_head_without_rows_should_say_what_it_is(
    source: Path,  # noqa: F811  # the fixture
) -> None:
    run(spec(method="conse"), source)
    text = (source.parent / page.PAGE_FILE).read_text()
    words = shown(text)
    assert "what accuracy to expect is not known" in words
    assert "the head compares class embeddings and has no rows" in words
    assert "without calibration" not in words
    assert "temperature 1, new classes" in words
    assert "row norm" not in words
    assert "The old rows are the same, bit for bit" in words


def test_a_moved_bias_should_be_said() -> None:
    made = reports.report()
    assert "bias moved" not in shown(page.render(reports.read(made)))
    made["calibration"]["bias_shift"] = -0.25
    assert "their bias moved by -0.25" in shown(page.render(reports.read(made)))


def test_a_head_that_differs_should_be_said_in_capitals() -> None:
    made = reports.report()
    made["seen_rows"]["sha256_after"]["fc.bias"] = "ffff" * 16
    made["seen_rows"]["bit_identical"] = False
    words = shown(page.render(reports.read(made)))
    assert "The old rows are NOT the same" in words
    assert "fc.bias DIFFERENT" in words


def test_a_thousand_new_classes_should_be_shown_worst_first_and_the_rest_counted() -> None:
    text = page.render(reports.read(reports.report([f"new {number}" for number in range(1000)])))
    who = re.findall(r'<td class="who"><bdi>(.*?)</bdi>', text)
    assert who == [f"new {number}" for number in range(SHOWN_MAX)]
    assert f"{1000 - SHOWN_MAX} more" in shown(text)
    assert len(text) < 600_000


@pytest.mark.parametrize(
    "missing", [name for name, field in Report.model_fields.items() if not field.is_required()]
)
def test_a_missing_part_should_leave_the_rest_of_the_page(missing: str) -> None:
    made = reports.report()
    made.pop(missing, None)
    assert "How it was made" in page.render(reports.read(made))


def test_a_class_without_an_outlook_should_be_a_dash_among_the_others() -> None:
    made = reports.report(["a", "b"])
    del made["outlook"]["b"]
    assert re.findall(r'<td class="sure">(.)', page.render(reports.read(made))) == [
        "<",
        "\N{EN DASH}",
    ]


def test_without_any_confidence_there_should_be_no_column_for_it() -> None:
    assert "<th>confidence</th>" in page.render(reports.read(reports.report()))
    assert "<th>confidence</th>" not in page.render(reports.read(reports.plain()))


@pytest.mark.parametrize("empty", ["tried", "curve", "outlook", "raw_norms", "seconds"])
def test_an_empty_part_should_leave_the_rest_of_the_page(empty: str) -> None:
    made = reports.report()
    made[empty] = type(made[empty])()
    assert "How it was made" in page.render(reports.read(made))


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "auto"},
        {"calibration": {"enabled": False}},
        {"add": ["one"], "class_embeddings": checkpoints.vectors(unseen=1)},
    ],
    ids=["auto", "plain", "one class"],
)
def test_a_run_should_leave_the_page_beside_its_report(
    source: Path,  # noqa: F811  # the fixture
    fields: dict[str, Any],
) -> None:
    made = run(spec(**fields), source)
    text = (source.parent / page.PAGE_FILE).read_text()
    assert made["page"] == {"style_source": page.style_source()}
    assert made["seconds"]["draw"] > 0
    assert "The old rows are the same, bit for bit" in text


def test_a_head_of_three_classes_should_have_a_page_that_says_why(tmp_path: Path) -> None:
    checkpoint = checkpoints.write(tmp_path / "in.safetensors", checkpoints.tensors(3))
    tensors = {**spec().head.located.model_dump(), "class_count": 3}
    names = checkpoints.class_names(3)
    head = {**spec().head.model_dump(), "class_names": names, "tensors": tensors}
    made = run(spec(head=head, class_embeddings=checkpoints.vectors(seen=3)), checkpoint)
    words = shown((tmp_path / page.PAGE_FILE).read_text())
    assert made["page"]
    assert "what accuracy to expect is not known" in words
    assert "the head has 3 classes" in words


def test_a_small_page_should_cost_far_less_than_half_a_second() -> None:
    page.render(reports.read(reports.report()))
    began = time.thread_time()
    page.render(reports.read(reports.report()))
    assert time.thread_time() - began < 0.4


def test_a_page_that_cannot_be_drawn_should_be_logged_and_cost_nothing_else(
    tmp_path: Path,
) -> None:
    broken = reports.read(reports.report())
    broken.curve = ["wide"]  # type: ignore[list-item]  # what no run writes
    with structlog.testing.capture_logs() as logged:
        assert page.write(broken, tmp_path / page.PAGE_FILE) is None
    assert [one["event"] for one in logged] == ["page_not_drawn"]
    assert list(tmp_path.iterdir()) == []

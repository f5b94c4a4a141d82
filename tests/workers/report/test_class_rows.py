"""The lines of the table of new classes."""

from headgraft.workers.report.wording import RELATIVES, class_rows
from tests.workers.report import reports
from tests.workers.report.reports import read


def test_the_least_certain_should_come_first() -> None:
    made = reports.report(["a", "b", "c"])
    made["outlook"]["b"]["confidence"] = 0.01
    assert [row.name for row in class_rows(read(made))] == ["b", "a", "c"]


def test_without_an_outlook_classes_should_stay_in_order() -> None:
    rows = class_rows(read(reports.plain(["b", "a"])))
    assert [(row.name, row.confidence, row.norm_before) for row in rows] == [
        ("b", None, None),
        ("a", None, None),
    ]


def test_relatives_in_a_head_without_rows_should_be_those_in_meaning() -> None:
    [row] = class_rows(read({**reports.plain(["a"]), "kind": "semantic"}))
    assert row.by_row == ()
    assert row.by_meaning[0].name == "class 0"


def test_a_row_should_gather_what_the_report_says_in_four_places() -> None:
    [row] = class_rows(read(reports.report(["a"])))
    assert (row.confidence, row.norm_before, row.norm_after) == (0.5, 2.5, 2.5)
    assert len(row.by_meaning) == len(row.by_row) == RELATIVES
    assert row.by_meaning[0].name == "class 0"
    assert row.by_row[0].cosine == 0.25

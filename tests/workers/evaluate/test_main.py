"""evaluate: what is printed, for people and for programs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from headgraft.models.metrics import Gzsl
from headgraft.workers.evaluate.__main__ import as_json, as_text, parse
from headgraft.workers.evaluate.heads import How
from headgraft.workers.evaluate.score import Answer, Question, Side
from headgraft.workers.formats.find_head import HeadTensors

TENSORS = HeadTensors(weight="w", bias=None, class_count=14, feature_size=3, dtype="F32")
SCORES = Gzsl(T1=0.5, u=0.25, s=0.75, H=0.375, base=1.0, new=0.5, base_to_new=2 / 3)
QUESTION = Question(Path("h"), Path("p.npz"))
ANSWER = Answer(SCORES, Side(10, 30, ()), Side(4, 9, ()), TENSORS, ())


def test_a_command_line_should_be_read_as_it_is_meant() -> None:
    question, for_programs = parse(
        ["--features=p.npz", "--unseen=u", "--head-metric=cosine", "--head-scale=2", "--", "-h"]
    )

    assert not for_programs
    how = How(metric="cosine", scale=2.0)
    assert question == Question(Path("-h"), Path("p.npz"), unseen=Path("u"), how=how)


def test_everything_should_be_there_for_programs() -> None:
    document = json.loads(as_json(QUESTION, ANSWER))

    assert document["T1"] == 0.5
    assert document["base_to_new"] == pytest.approx(2 / 3)
    assert document["seen"] == {"classes": 10, "pictures": 30, "without_picture": []}
    assert document["notes"] == []


def test_many_classes_without_a_picture_should_be_counted_and_some_named() -> None:
    names = tuple(f"class {number}" for number in range(11))
    noted = replace(ANSWER, seen=Side(12, 30, names), notes=("something is odd",))

    lines = as_text(QUESTION, noted).splitlines()

    missing = next(line for line in lines if line.startswith("without a picture"))
    assert "11 seen classes: class 0, class 1, " in missing
    assert missing.endswith("class 7 and 3 more")
    assert lines[-1] == "note: something is odd"
    assert "without a picture" not in as_text(QUESTION, ANSWER)

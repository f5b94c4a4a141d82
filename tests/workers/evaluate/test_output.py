"""evaluate: what is printed, for people and for programs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from headgraft.models.metrics import Gzsl
from headgraft.workers.evaluate.output import as_json, as_text
from headgraft.workers.evaluate.score import ClassCounts, Evaluation, EvaluationRequest
from headgraft.workers.formats.find_head import HeadTensors

TENSORS = HeadTensors(weight="w", bias=None, class_count=14, feature_size=3, dtype="F32")
SCORES = Gzsl(T1=0.5, u=0.25, s=0.75, H=0.375, base=1.0, new=0.5, base_to_new=2 / 3)
REQUEST = EvaluationRequest(Path("h"), Path("p.npz"))
EVALUATION = Evaluation(SCORES, ClassCounts(10, 30, ()), ClassCounts(4, 9, ()), TENSORS, ())


def test_everything_should_be_there_for_programs() -> None:
    document = json.loads(as_json(REQUEST, EVALUATION))

    assert document["T1"] == 0.5
    assert document["base_to_new"] == pytest.approx(2 / 3)
    assert document["seen"] == {"classes": 10, "pictures": 30, "without_picture": []}
    assert document["notes"] == []


def test_many_classes_without_a_picture_should_be_counted_and_some_named() -> None:
    names = tuple(f"class {number}" for number in range(11))
    noted = replace(EVALUATION, seen=ClassCounts(12, 30, names), notes=("something is odd",))

    lines = as_text(REQUEST, noted).splitlines()

    missing = next(line for line in lines if line.startswith("without a picture"))
    assert "11 seen classes: class 0, class 1, " in missing
    assert missing.endswith("class 7 and 3 more")
    assert lines[-1] == "note: something is odd"
    assert "without a picture" not in as_text(REQUEST, EVALUATION)

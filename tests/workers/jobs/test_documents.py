"""The documents between service and workers: what lies in Redis and the store stays readable."""

import json
import subprocess
import sys
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from headgraft.workers.jobs.events import EVENT_DATA
from headgraft.workers.jobs.manifest import Manifest
from headgraft.workers.jobs.presence import Presence
from headgraft.workers.jobs.report import Report
from headgraft.workers.jobs.summary import FeaturesSummary, Summary
from tests.workers.report import reports

HEAD = {"weight": "fc.weight", "bias": None, "feature_size": 16, "dtype": "F32"}
FIGURE = {"value": 0.5, "low": 0.0, "high": 1.0}
ESTIMATE = {
    **dict.fromkeys(("T1", "u", "s", "H"), FIGURE),
    "reasons": ["few"],
    "pictures": 0,
    "ground": "rows",
}
SUMMARY = {
    "method": "ridge",
    "settings": {"gamma": 2, "names": ["löwe"]},
    "class_embeddings": {"kind": "names", "encoder": "minilm"},
    "seen_count": 20,
    "unseen_count": 3,
    "head": {"id": None, "sha256": "0", "bytes": 1, "format": "safetensors", **HEAD},
    "features": {"id": "feat_1", "count": 100, "labelled": 90, "classes": 20, "generic": True},
    "warnings": ["20 names say nothing"],
}
TORCH = {**SUMMARY, "head": {**SUMMARY["head"], **dict.fromkeys(HEAD)}, "features": None}  # type: ignore[dict-item]  # a dict
STEP = {"action": "send_pictures", "text": "Send pictures.", "gain": None}
MANIFEST = {
    "prefix": "ada/inj_1/t1/",
    "files": {"head.safetensors": {"bytes": 1, "sha256": "0"}},
    "versions": {"torch": "2"},
    "head": HEAD,
    "method": "ridge",
    "settings": {"gamma": 2.0, "centre": True, "steps": 3},
    "estimate": ESTIMATE,
    "verdict": {"level": "good", "reason": "löwe", "next_step": STEP},
    "seconds": {"load": 0.25},
    "page": {"style_source": "sha256-x"},
    "encoder": {"name": "minilm", "digest": "d1"},
    "seen_count": 20,
    "warnings": [],
}
PLAIN = {**MANIFEST, "estimate": None, "verdict": None, "page": None, "encoder": None}
STATUS = {"type": "status", "job": "inj_1", "at": 1764149647123, "status": "running", "attempt": 1}
PROGRESS = {"type": "progress", "job": "inj_1", "at": 1764149647123, "progress": 1, "stage": "fit"}
MINILM = {"dimension": 384, "digest": "d1", "kind": "sentence-transformers"}
LEASE = {"deaths": 1, "age_seconds": None, "is_stuck": False}
PRESENCE = {
    "name": "w1",
    "device": "cpu",
    "versions": {},
    "encoders": {"minilm": MINILM},
    "loops": {"lease": LEASE},
    "replaced": 2,
}


@pytest.mark.parametrize(
    ("model", "document"),
    [
        (Summary, SUMMARY),
        (Summary, TORCH),
        (Manifest, MANIFEST),
        (Manifest, PLAIN),
        (Presence, PRESENCE),
    ],
)
def test_a_document_should_be_read_and_written_with_the_same_content(
    model: type[BaseModel], document: dict[str, Any]
) -> None:
    read = model.model_validate_json(json.dumps(document))
    assert json.loads(read.model_dump_json()) == document


def test_features_of_before_they_could_lack_labels_should_all_have_one() -> None:
    read = FeaturesSummary.model_validate({"id": "feat_1", "count": 100, "classes": 20})

    assert (read.labelled, read.generic) == (100, False)


@pytest.mark.parametrize(
    "document",
    [STATUS, {**STATUS, "status": "failed", "code": "timeout"}, PROGRESS, {**PROGRESS, "loss": 2}],
)
def test_what_an_event_lacks_should_stay_absent(document: dict[str, Any]) -> None:
    read = EVENT_DATA.validate_json(json.dumps(document))
    assert json.loads(TypeAdapter(type(read)).dump_json(read)) == document


@pytest.mark.parametrize("document", [reports.plain(), reports.report()], ids=["plain", "whole"])
def test_what_a_report_lacks_should_stay_absent(document: dict[str, Any]) -> None:
    read = Report.model_validate_json(json.dumps(document))
    assert read.model_dump(mode="json", exclude_unset=True) == json.loads(json.dumps(document))


def test_the_documents_should_need_no_torch() -> None:
    names = "events manifest presence report spec summary"
    lines = [f"import headgraft.workers.jobs.{name}" for name in names.split()]
    code = "; ".join([*lines, "import sys; sys.exit('torch' in sys.modules)"])
    subprocess.run([sys.executable, "-c", code], check=True)

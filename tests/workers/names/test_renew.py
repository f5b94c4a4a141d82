"""What names the old classes learns of the new ones, in its own form; the rest stays."""

from typing import Any

import pytest

from headgraft.workers.names.renew import renewed

NAMES = ("cat", "dog", "okapi")


@pytest.mark.parametrize(
    ("document", "after"),
    [
        ({"id2label": {"0": "cat", "1": "dog"}, "num_labels": 2},
         {"id2label": {"0": "cat", "1": "dog", "2": "okapi"}, "num_labels": 3}),
        ({"id2label": {0: "cat", 1: "dog"}}, {"id2label": {0: "cat", 1: "dog", 2: "okapi"}}),
        ({"names": {1: "cat", 2: "dog"}}, {"names": {1: "cat", 2: "dog", 3: "okapi"}}),
        ({"class_to_idx": {"cat": 0, "dog": 1}},
         {"class_to_idx": {"cat": 0, "dog": 1, "okapi": 2}}),
        ({"meta": {"CLASSES": ("cat", "dog"), "epoch": 2}},
         {"meta": {"CLASSES": ("cat", "dog", "okapi"), "epoch": 2}}),
        ({"categories": [{"name": "cat"}, {"name": "dog"}]},
         {"categories": [{"name": "cat"}, {"name": "dog"}, {"name": "okapi"}]}),
        ({"names": ["a", "b", "c", "d"], "num_classes": 4},
         {"names": ["a", "b", "c", "d"], "num_classes": 4}),
        ({"epoch": 2, "labels": [0, 1]}, {"epoch": 2, "labels": [0, 1]}),
    ],
)  # fmt: skip
def test_each_form_should_be_kept(document: dict[str, Any], after: dict[str, Any]) -> None:
    before = repr(document)
    assert renewed(document, NAMES, 1) == after
    assert repr(document) == before

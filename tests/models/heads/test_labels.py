"""Class names as other tools read them."""

import json

from headgraft.models.heads import labels

NAMES = ("tench", "großer Hai", 'a "quoted" one')


def test_labels_should_be_those_of_a_hugging_face_config() -> None:
    config = labels.config(NAMES)

    assert config["id2label"] == {"0": "tench", "1": "großer Hai", "2": 'a "quoted" one'}
    assert config["label2id"] == {"tench": 0, "großer Hai": 1, 'a "quoted" one': 2}


def test_metadata_should_tell_the_classes_in_three_ways() -> None:
    told = labels.metadata(NAMES, 2)

    assert json.loads(told["class_names"]) == list(NAMES)
    assert told["seen_count"] == "2"
    assert {name: json.loads(told[name]) for name in labels.LABELS} == labels.config(NAMES)


def test_names_that_would_fill_a_header_should_be_told_once() -> None:
    names = tuple(f"{'x' * 190} {number}" for number in range(6000))

    told = labels.metadata(names, 1)

    assert set(told) == {"class_names", "seen_count", "injected_rows"}
    assert json.loads(told["class_names"]) == list(names)

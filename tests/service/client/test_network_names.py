"""Names that a network carries, and those that a program gives."""

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from headgraft import HeadgraftError
from headgraft.arguments import ClassNames
from headgraft.class_names import class_entries, own_names, tell_names

CARRIED: list[tuple[str, Any, Any]] = [
    ("pretrained_cfg", {"label_names": ["cat", "dog"], "num_classes": 2},
     {"label_names": ["cat", "dog", "okapi"], "num_classes": 3}),
    ("dataset_meta", {"classes": ("cat", "dog")}, {"classes": ("cat", "dog", "okapi")}),
    ("names", {0: "cat", 1: "dog"}, {0: "cat", 1: "dog", 2: "okapi"}),
    ("class_to_idx", {"cat": 0, "dog": 1}, {"cat": 0, "dog": 1, "okapi": 2}),
    ("CLASSES", ("cat", "dog"), ("cat", "dog", "okapi")),
]  # fmt: skip


@pytest.mark.parametrize(("attribute", "value", "after"), CARRIED)
def test_a_networks_own_names_should_be_read_and_learn_the_new_one(
    attribute: str, value: Any, after: Any
) -> None:
    network = nn.Linear(3, 2)
    setattr(network, attribute, value)
    assert own_names(network) == ["cat", "dog"]
    tell_names(network, ["cat", "dog", "okapi"], 1)
    assert getattr(network, attribute) == after


def test_a_network_that_names_nothing_or_two_things_should_be_refused() -> None:
    network = nn.Linear(3, 2)
    with pytest.raises(HeadgraftError, match="Linear does not name its classes"):
        own_names(network)
    network.names, network.classes = ["a", "b"], ["b", "a"]  # type: ignore[assignment]
    with pytest.raises(HeadgraftError, match="contradict each other"):
        own_names(network)


def test_class_names_should_be_a_list_a_mapping_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("id,name\n0,cat\n1,dog\n")
    both = [{"name": "cat"}, {"name": "dog"}]
    mappings: list[ClassNames] = [{0: "cat", 1: "dog"}, {"dog": 1, "cat": 0}]
    for given in (*mappings, tmp_path / "names.csv"):
        assert class_entries(given) == both
    assert class_entries(["cat", {"name": "dog"}]) == ["cat", {"name": "dog"}]
    assert class_entries(None) is None
    with pytest.raises(HeadgraftError, match=r"class_names: .*1 is missing"):
        class_entries({0: "cat", 2: "dog"})

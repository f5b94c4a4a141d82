"""The real head and the real pictures, as the demo gets them."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from headgraft.workers.pictures import lite0

HIDDEN = ("espresso", "daisy")
SEES = {
    "coffee.png": "espresso",
    "chelsea.png": "tiger cat",
    "rocket.jpg": "missile",
    "china.jpg": "palace",
    "flower.jpg": "daisy",
    "camera.png": "tripod",
    "motorcycle_left.png": "moped",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("lite0")
    lite0.write(folder, HIDDEN)
    return folder


def class_names(path: Path) -> list[str]:
    with safe_open(path, framework="numpy") as opened:
        names: list[str] = json.loads(opened.metadata()["class_names"])
        return names


def test_the_full_head_should_recognise_the_bundled_pictures(folder: Path) -> None:
    head, names = load_file(folder / "lite0.safetensors"), class_names(folder / "lite0.safetensors")
    pictures = np.load(folder / "pictures.npz")

    logits_NC = pictures["features"] @ head["_fc.weight"].T + head["_fc.bias"]

    first = [names[row] for row in logits_NC.argmax(axis=1)]
    assert dict(zip(pictures["names"].tolist(), first, strict=True)) == SEES


def test_the_seen_head_should_lack_the_hidden_classes_and_nothing_else(folder: Path) -> None:
    full, seen = load_file(folder / "lite0.safetensors"), load_file(folder / "seen.safetensors")
    names = class_names(folder / "lite0.safetensors")
    kept = [row for row, name in enumerate(names) if name not in HIDDEN]

    assert class_names(folder / "seen.safetensors") == [names[row] for row in kept]
    assert seen["_fc.weight"].tobytes() == full["_fc.weight"][kept].tobytes()
    assert seen["_fc.bias"].tobytes() == full["_fc.bias"][kept].tobytes()


def test_every_class_should_have_a_name_of_its_own_and_a_description(folder: Path) -> None:
    entries = json.loads((folder / "classes.json").read_text())

    assert [entry["name"] for entry in entries] == class_names(folder / "lite0.safetensors")
    assert len({entry["name"] for entry in entries}) == 1000
    assert all(len(entry["description"]) > 3 for entry in entries)


def test_a_class_that_is_not_there_cannot_be_hidden(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no class 'unicorn' to hide"):
        lite0.write(tmp_path, ["unicorn"])

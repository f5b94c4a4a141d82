"""Which pictures a folder holds, and of which classes."""

from pathlib import Path

import pytest

from headgraft.models.errors import InjectionError
from headgraft.workers.pictures.folder import find_pictures, open_picture
from tests import pictures


def test_each_folder_should_be_a_class_in_the_order_of_names(tmp_path: Path) -> None:
    pictures.write(tmp_path, classes=3, each=2)
    (tmp_path / "class 1" / "notes.txt").write_text("no picture")
    (tmp_path / "loose.png").write_bytes(b"of no class")

    found = find_pictures(tmp_path)

    assert found.class_names == ("class 0", "class 1", "class 2")
    assert found.labels == (0, 0, 1, 1, 2, 2)
    assert [path.name for path in found.paths] == ["0.png", "1.png"] * 3


def test_pictures_in_the_folder_itself_should_have_no_label(tmp_path: Path) -> None:
    pictures.write(tmp_path / "in", classes=2, each=1)
    (tmp_path / "in" / "class 0" / "0.png").rename(tmp_path / "flat.png")
    (tmp_path / "empty").mkdir()

    beside = find_pictures(tmp_path)  # one class folder, `in`, has a picture
    everything = find_pictures(tmp_path, unlabelled=True)
    (tmp_path / "in" / "class 1" / "0.png").unlink()
    flat = find_pictures(tmp_path, ["a head's class"])

    assert (beside.labels, beside.passed_over) == ((1,), 1)
    assert [path.name for path in everything.paths] == ["flat.png", "0.png"]
    assert (everything.labels, everything.class_names) == (None, ())
    assert (flat.paths, flat.labels) == ((tmp_path / "flat.png",), None)


def test_labels_should_count_the_heads_classes_where_they_are_given(tmp_path: Path) -> None:
    pictures.write(tmp_path, classes=2, each=1)

    found = find_pictures(tmp_path, ["class 1", "another", "class 0"])

    assert found.labels == (2, 0)
    assert found.class_names == ("class 1", "another", "class 0")


def test_a_folder_of_a_class_that_the_head_lacks_should_be_named(tmp_path: Path) -> None:
    pictures.write(tmp_path, classes=2, each=1)

    with pytest.raises(InjectionError, match="no class 'class 1'; it has 'class 0', 'x'"):
        find_pictures(tmp_path, ["class 0", "x"])


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_pictures_should_be_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty" / "class").mkdir(parents=True)

    with pytest.raises(InjectionError, match=r"is no folder|legal are \.jpg"):
        find_pictures(tmp_path / name)


def test_a_file_that_is_no_picture_should_be_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"nothing")

    with pytest.raises(InjectionError, match=r"broken\.png is no readable picture"):
        open_picture(path)

"""labelled_files: arrays by name, never a pickle, and lists of classes as `inject` reads them."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from headgraft.models.errors import InjectionError
from headgraft.workers.evaluate.features import read, read_names

FEATURES = np.arange(8, dtype=np.float32).reshape(4, 2)
LABELS = np.array([1, 0, 1, 2])
NAMES = ["red fox", "kit fox", "灰狼"]


def save(path: Path, features: Any = FEATURES, labels: Any = LABELS, names: Any = None) -> Path:
    """Write a file of the kind that its suffix says."""
    if path.suffix == ".npz":
        np.savez(
            path, features=features, labels=labels, **({"class_names": names} if names else {})
        )
        return path
    tensors = {"features": torch.from_numpy(features), "labels": torch.from_numpy(labels)}
    save_file(tensors, path, metadata={"class_names": json.dumps(names)} if names else None)
    return path


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_features_should_be_read_as_float32(tmp_path: Path, suffix: str, dtype: Any) -> None:
    found = read(save(tmp_path / f"x{suffix}", FEATURES.astype(dtype)))

    assert found.features_NF.dtype == torch.float32
    assert found.features_NF.tolist() == FEATURES.tolist()
    assert found.labels_N.tolist() == LABELS.tolist()
    assert found.class_names is None


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_class_names_of_the_file_should_give_way_to_those_given(
    tmp_path: Path, suffix: str
) -> None:
    path = save(tmp_path / f"x{suffix}", names=NAMES)

    assert read(path).class_names == tuple(NAMES)
    assert read(path, ("a", "b", "c")).class_names == ("a", "b", "c")


def test_numbers_of_another_byte_order_should_be_the_same_numbers(tmp_path: Path) -> None:
    path = save(tmp_path / "x.npz", FEATURES.astype(">f4"), LABELS.astype(">i8"))

    assert read(path).features_NF.tolist() == FEATURES.tolist()


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_missing_array_should_be_named_with_what_is_there(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    if suffix == ".npz":
        np.savez(path, feature=FEATURES, labels=LABELS)
    else:
        save_file({"feature": torch.ones(2), "labels": torch.ones(2)}, path)
    with pytest.raises(
        InjectionError, match="has no array 'features'; it has: 'feature', 'labels'"
    ):
        read(path)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x80\x04K\x01."])
def test_a_file_of_another_kind_should_be_refused(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(InjectionError, match=rf"x\{suffix} is not a readable "):
        read(path)


@pytest.mark.parametrize("method", [9, 77])  # deflate64, and one that nobody has
def test_a_compression_that_is_not_read_should_be_refused(tmp_path: Path, method: int) -> None:
    path = save(tmp_path / "x.npz")
    content = bytearray(path.read_bytes())
    for start in (m.start() for m in re.finditer(b"PK\x01\x02", content)):
        content[start + 10] = method
    path.write_bytes(content)
    with pytest.raises(InjectionError, match="not a readable npz file: That compression method"):
        read(path)


def test_objects_in_an_npz_file_should_not_be_unpickled(tmp_path: Path) -> None:
    path = save(tmp_path / "x.npz", np.array([{"a": 1}], dtype=object))
    with pytest.raises(InjectionError, match="not a readable npz file: Object arrays cannot"):
        read(path)


@pytest.mark.parametrize(
    ("features", "labels", "complaint"),
    [
        (np.array(["a"]), LABELS, "array 'features' holds <U1, not numbers"),
        (FEATURES.astype(np.int16), LABELS, r"x\.npz: the features are int16; legal are float16"),
        (FEATURES, LABELS.astype(np.float32), r"x\.npz: the labels are float32"),
        (FEATURES[0], LABELS, r"features have shape \(2,\)"),
    ],
)
def test_a_defect_should_be_named_with_the_file(
    tmp_path: Path, features: Any, labels: Any, complaint: str
) -> None:
    with pytest.raises(InjectionError, match=complaint):
        read(save(tmp_path / "x.npz", features, labels))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_pictures_without_a_label_should_not_be_scored(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"some{suffix}", labels=np.array([1, -1, -1, 0]), names=NAMES)
    with pytest.raises(InjectionError, match=r"2 of the 4 pictures have no label .* scored on"):
        read(path)

    path = tmp_path / f"none{suffix}"
    if suffix == ".npz":
        np.savez(path, features=FEATURES)
    else:
        save_file({"features": torch.from_numpy(FEATURES)}, path)
    with pytest.raises(InjectionError, match="features without 'labels': a head is scored on"):
        read(path)


def test_a_single_array_should_be_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", FEATURES)
    (tmp_path / "x.npy").rename(tmp_path / "x.npz")
    with pytest.raises(InjectionError, match="holds a single array"):
        read(tmp_path / "x.npz")


def test_another_suffix_should_be_refused_with_the_legal_ones(tmp_path: Path) -> None:
    with pytest.raises(InjectionError, match=r"'\.csv'; legal are .safetensors, .npz, .mat"):
        read(tmp_path / "x.csv")


def test_class_names_that_are_no_list_should_be_refused(tmp_path: Path) -> None:
    tensors = {"features": torch.from_numpy(FEATURES), "labels": torch.from_numpy(LABELS)}
    for text in ("{}", "nonsense", "[1]"):
        save_file(tensors, tmp_path / "x.safetensors", metadata={"class_names": text})
        with pytest.raises(InjectionError, match="must be a JSON list of texts"):
            read(tmp_path / "x.safetensors")


def test_names_should_be_read_without_their_descriptions(tmp_path: Path) -> None:
    (tmp_path / "names").write_text("zebra: a striped horse\n\nC3:PO\n  okapi \n")
    assert read_names(tmp_path / "names") == ("zebra", "C3:PO", "okapi")


@pytest.mark.parametrize("content", [b"", b"\n \n", b": nothing\n", b"\xff\xfe"])
def test_a_list_without_names_should_be_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "names").write_bytes(content)
    with pytest.raises(InjectionError, match=r"names (is no UTF-8|must list one class a line)"):
        read_names(tmp_path / "names")

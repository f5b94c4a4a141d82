"""xlsa17: MATLAB's numbers count from 1, ours from 0, and every defect is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat
from scipy.sparse import csc_matrix

from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import NamedFeatures
from headgraft.workers.evaluate import xlsa17
from tests import xlsa17_files

MADE = xlsa17_files.make()


@pytest.fixture
def made() -> xlsa17_files.Made:
    return xlsa17_files.make()


def read(folder: Path, made: xlsa17_files.Made) -> tuple[NamedFeatures, xlsa17.Splits]:
    features = xlsa17_files.write(folder, made)
    splits = xlsa17.read_splits(folder / "att_splits.mat")
    return xlsa17.read_pictures(features, splits), splits


def test_every_picture_should_keep_its_features_its_label_and_its_side(
    tmp_path: Path, made: xlsa17_files.Made
) -> None:
    planted = made.arrays["res101"]["features"]
    planted[0] = np.arange(planted.shape[1])
    planted[1] = made.labels

    pictures, splits = read(tmp_path, made)

    assert pictures.features_NF.dtype == torch.float32
    assert pictures.features_NF[:, 0].tolist() == list(range(len(made.labels)))
    assert torch.equal(pictures.features_NF[:, 1].long(), pictures.labels_N)
    for name in ("trainval", "test_seen", "test_unseen"):
        assert getattr(splits, name).tolist() == np.flatnonzero(made.side == name).tolist()
    assert splits.unseen_names(pictures) == tuple(made.unseen_names)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_and_numbers_of_any_type_should_do(
    tmp_path: Path, made: xlsa17_files.Made, dtype: Any
) -> None:
    made.arrays["res101"]["labels"] = made.arrays["res101"]["labels"].astype(np.uint8)
    made.arrays["res101"]["features"] = made.arrays["res101"]["features"].astype(dtype)
    splits = made.arrays["att_splits"]
    splits["test_seen_loc"] = splits["test_seen_loc"].astype(dtype)

    assert read(tmp_path, made)[0].labels_N.tolist() == made.labels.tolist()


@pytest.mark.parametrize("shift", [-1, 1])
def test_splits_that_are_off_by_one_should_not_pass(
    tmp_path: Path, made: xlsa17_files.Made, shift: int
) -> None:
    splits = made.arrays["att_splits"]
    splits["test_unseen_loc"] = splits["test_unseen_loc"].astype(int) + shift
    with pytest.raises(InjectionError, match="has pictures in trainval_loc and in test_unseen_loc"):
        read(tmp_path, made)


PICTURES, CLASSES = len(MADE.labels), len(MADE.class_names)


@pytest.mark.parametrize(
    ("file", "name", "value", "complaint"),
    [
        ("res101", "labels", 0, f"labels holds 0; legal is 1 to {CLASSES}, as there are {CLASSES}"),
        ("res101", "labels", CLASSES + 1, f"labels holds {CLASSES + 1}; legal is 1 to {CLASSES}"),
        ("res101", "labels", 1.5, "labels must hold whole numbers"),
        ("res101", "features", np.nan, r"features of 1 pictures hold NaN .* picture 0 "),
        ("att_splits", "test_seen_loc", 0, "test_seen_loc holds 0; legal is at least 1"),
        (
            "att_splits",
            "trainval_loc",
            PICTURES + 1,
            f"trainval_loc holds {PICTURES + 1}; res101.mat has {PICTURES} pictures",
        ),
    ],
)
def test_a_number_out_of_range_should_be_shown_with_the_range(
    tmp_path: Path, made: xlsa17_files.Made, file: str, name: str, value: float, complaint: str
) -> None:
    array = made.arrays[file][name].astype(np.float64)
    array[0, 0] = value
    made.arrays[file][name] = array
    with pytest.raises(InjectionError, match=complaint):
        read(tmp_path, made)


@pytest.mark.parametrize(
    ("file", "name", "array", "complaint"),
    [
        ("res101", "features", np.ones((3, PICTURES), np.uint8), "features are uint8; they must"),
        ("res101", "features", np.ones((3, 5)), rf"labels have shape \({PICTURES},\); there are 5"),
        ("res101", "features", csc_matrix((3, PICTURES)), "features is a sparse matrix; save full"),
        ("att_splits", "test_seen_loc", np.ones((0, 1)), "test_seen_loc is empty"),
        ("att_splits", "allclasses_names", np.ones((CLASSES, 1)), "must hold one name per class"),
    ],
)
def test_an_array_of_another_kind_should_be_refused(
    tmp_path: Path, made: xlsa17_files.Made, file: str, name: str, array: Any, complaint: str
) -> None:
    made.arrays[file][name] = array
    with pytest.raises(InjectionError, match=complaint):
        read(tmp_path, made)


@pytest.mark.parametrize(
    ("file", "name"),
    [("res101", "labels"), ("att_splits", "test_unseen_loc"), ("att_splits", "allclasses_names")],
)
def test_a_missing_array_should_be_named_with_what_is_there(
    tmp_path: Path, made: xlsa17_files.Made, file: str, name: str
) -> None:
    del made.arrays[file][name]
    left = ", ".join(sorted(made.arrays[file]))
    with pytest.raises(InjectionError, match=f"{file}.mat has no array '{name}'; it has: {left}"):
        read(tmp_path, made)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x00" * 400, r"7\.3 file \(HDF5\)"),
        (b"not MATLAB at all", "cannot be read as a MATLAB file"),
        (b"", "cannot be read as a MATLAB file"),
        (b"MATLAB 5.0 MAT-file".ljust(126), "cannot be read as a MATLAB file"),
    ],
)
def test_a_file_of_another_kind_should_be_refused(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "att_splits.mat").write_bytes(content)
    with pytest.raises(InjectionError, match=complaint):
        xlsa17.read_splits(tmp_path / "att_splits.mat")


@pytest.mark.parametrize("compressed", [False, True])
def test_a_download_that_was_cut_off_should_be_refused(tmp_path: Path, *, compressed: bool) -> None:
    path = tmp_path / "att_splits.mat"
    savemat(path, MADE.arrays["att_splits"], do_compression=compressed)
    whole = path.read_bytes()
    for share in range(1, 20):
        path.write_bytes(whole[: len(whole) * share // 40])
        with pytest.raises(InjectionError, match=r"cannot be read as a MATLAB file|has no array"):
            xlsa17.read_splits(path)


def test_a_file_that_is_not_there_should_be_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.mat"):
        xlsa17.read_splits(tmp_path / "no.mat")

"""The count of labels is the same wherever the bytes are cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgraft.service.uploads.feature_files import CLASSES_MAX, LABEL_DTYPES, LabelScan
from headgraft.workers.formats.header import HeaderError
from headgraft.workers.formats.safetensors import header_length, parse_header
from tests.service.files import checkpoint
from tests.service.uploads.feature_files import labels, pictures


def scan(values: list[int], dtype: str, cuts: list[int]) -> LabelScan:
    """Feed the labels of a file, with features before them, in pieces."""
    tensors = {"features": pictures(len(values), 3), "labels": labels(values, dtype)}
    file = checkpoint(tensors)
    start = 8 + header_length(file[:8])
    header, data = parse_header(file[8:start]), file[start:]
    found = LabelScan(header.tensors["labels"])
    for left, right in pairwise([0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]):
        found.feed(data[left:right])
    return found


@given(
    values=st.lists(st.integers(0, 100), min_size=1, max_size=20),
    dtype=st.sampled_from(sorted(LABEL_DTYPES)),
    cuts=st.lists(st.integers(0, 500), max_size=12),
)
def test_labels_should_be_counted_wherever_the_bytes_are_cut(
    values: list[int], dtype: str, cuts: list[int]
) -> None:
    found = scan(values, dtype, cuts)

    assert found.counts_C.tolist()[:101] == np.bincount(values, minlength=101).tolist()
    assert found.counts_C.sum() == len(values)


@pytest.mark.parametrize("cut", range(100, 116))
def test_a_label_that_no_class_can_have_should_be_named_with_its_place(cut: int) -> None:
    values = [*range(9), CLASSES_MAX]

    with pytest.raises(HeaderError, match=f"label 9 is {CLASSES_MAX}; labels count"):
        scan(values, "I32", [cut])


def test_the_largest_label_of_a_head_should_pass() -> None:
    assert scan([CLASSES_MAX - 1], "I64", []).counts_C[-1] == 1

"""The scan for NaN and infinity finds the same wherever the bytes are cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgraft.service.uploads.finiteness import FinitenessScan
from headgraft.workers.formats.header import Header
from headgraft.workers.formats.safetensors import header_length, parse_header
from tests.service.files import NUMPY, checkpoint, numbers


def header_and_data(file: bytes) -> tuple[Header, bytes]:
    """Split a file."""
    length = header_length(file[:8])
    return parse_header(file[8 : 8 + length]), file[8 + length :]


def scan(header: Header, data: bytes, cuts: list[int], names: list[str] | None) -> dict[str, int]:
    """Feed the data in pieces, cut at these offsets."""
    scanner = FinitenessScan(header, names)
    edges = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(edges):
        scanner.feed(data[start:end])
    return scanner.bad


@given(
    dtype=st.sampled_from(["F16", "BF16", "F32", "F64"]),
    bad=st.none() | st.integers(0, 14),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
    cuts=st.lists(st.integers(0, 200), max_size=12),
)
def test_a_bad_number_should_be_found_in_its_row_wherever_the_bytes_are_cut(
    dtype: str, bad: int | None, value: float, cuts: list[int]
) -> None:
    place = None if bad is None else (bad, value)
    file = checkpoint(
        {
            "odd": ("U8", (3,), b"\xff" * 3),
            "other": ("F32", (2, 2), numbers((2, 2), bad=(0, np.nan))),
            "weight": (dtype, (5, 3), numbers((5, 3), dtype, place)),
            "bias": (dtype, (5,), numbers((5,), dtype)),
        }
    )
    header, data = header_and_data(file)
    inside = [min(cut, len(data)) for cut in cuts]

    found = scan(header, data, inside, ["weight", "bias"])

    assert found == ({} if bad is None else {"weight": bad // 3})


def test_without_names_every_tensor_that_could_be_a_head_should_be_scanned() -> None:
    nan = (0, np.nan)
    file = checkpoint(
        {
            "matrix": ("F32", (2, 2), numbers((2, 2), bad=nan)),
            "vector": ("F16", (3,), numbers((3,), "F16", bad=nan)),
            "kernel": ("F32", (1, 2, 2), numbers((1, 2, 2), bad=nan)),
            "filters": ("F32", (2, 2, 2), numbers((2, 2, 2), bad=nan)),
            "bytes": ("U8", (4, 4), b"\xff" * 16),
            "nothing": ("F32", (0, 4), b""),
        }
    )
    header, data = header_and_data(file)

    assert scan(header, data, [], None) == {"matrix": 0, "vector": 0, "kernel": 0}


@pytest.mark.parametrize("dtype", sorted(NUMPY))
def test_the_largest_and_smallest_numbers_should_pass(dtype: str) -> None:
    limits = np.finfo(np.dtype(NUMPY[dtype]))
    extremes = np.array(
        [limits.max, limits.min, limits.smallest_subnormal, -0.0], NUMPY[dtype]
    ).reshape(2, 2)
    header, data = header_and_data(checkpoint({"w": (dtype, (2, 2), extremes.tobytes())}))

    assert scan(header, data, [1, 3], None) == {}


def test_a_bad_number_among_regions_should_be_found_in_its_picture() -> None:
    shape = (4, 3, 2, 2)
    file = checkpoint({"features": ("F16", shape, numbers(shape, "F16", (2 * 12 + 5, np.nan)))})

    assert scan(*header_and_data(file), [], ["features"]) == {"features": 2}

"""The safetensors header parser, on the defects a stranger's file can have."""

import json

import pytest

from headgraft.workers.formats.find_head import find_head
from headgraft.workers.formats.header import Header, HeaderError
from headgraft.workers.formats.safetensors import HEADER_BYTES_MAX, header_length, parse_header


def tensor(dtype: str, shape: list[int], start: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def header(**tensors: tuple[str, list[int]]) -> Header:
    """Lay tensors out one behind the other; `__` in a name stands for a dot."""
    document, offset = {}, 0
    for name, (dtype, shape) in tensors.items():
        size = {"F64": 8, "I64": 8, "F32": 4, "F16": 2, "BF16": 2}[dtype]
        for length in shape:
            size *= length
        document[name.replace("__", ".")] = tensor(dtype, shape, offset, offset + size)
        offset += size
    return parse_header(json.dumps(document).encode())


def test_a_good_header_should_be_read_whole() -> None:
    raw = {
        "__metadata__": {"a": "b"},
        "w": tensor("F32", [2, 3], 0, 24),
        "n": tensor("I64", [], 24, 32),
    }
    read = parse_header(json.dumps(raw).encode())
    assert read.metadata == {"a": "b"}
    assert read.data_bytes == 32
    assert read.tensors["w"].shape == (2, 3)
    assert read.tensors["n"].start == 24


@pytest.mark.parametrize("length", [0, 1, HEADER_BYTES_MAX + 1, 2**60, 2**64 - 1])
def test_a_header_length_outside_the_limits_should_be_refused(length: int) -> None:
    with pytest.raises(HeaderError, match=f"header of {length} bytes"):
        header_length(length.to_bytes(8, "little"))


def test_the_longest_header_should_be_accepted() -> None:
    assert header_length(HEADER_BYTES_MAX.to_bytes(8, "little")) == HEADER_BYTES_MAX


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"[" * 200_000, "recursion"),
        (b'{"a": ' + b"9" * 5000 + b"}", "number out of range"),
        (b'{"a": 1, "a": 2}', "duplicate key"),
        (b"\xff\xfe", "not valid JSON"),
        (b'{"a": NaN}', "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"w": 3}', "exactly dtype, shape and data_offsets"),
        (b'{"__metadata__": {"a": 1}}', "map text to text"),
    ],
)
def test_a_broken_header_should_be_refused_with_its_defect(raw: bytes, complaint: str) -> None:
    with pytest.raises(HeaderError, match=complaint):
        parse_header(raw)


@pytest.mark.parametrize(
    ("tensors", "complaint"),
    [
        ({"w": tensor("F31", [1], 0, 4)}, "unknown dtype 'F31'; legal are"),
        ({"w": tensor("F32", [2], 0, 4)}, "does not fill the 4 bytes"),
        ({"w": tensor("F32", [-1], 0, 4)}, "whole numbers"),
        ({"w": tensor("F32", [2**62], 0, 4)}, "whole numbers"),
        ({"w": tensor("F32", [2**61] * 300_000, 0, 4)}, "300000 dimensions; there may be 64"),
        ({"w": tensor("F32", [1.0], 0, 4)}, "whole numbers"),  # type: ignore[list-item]  # the defect under test
        ({"w": tensor("F32", [True], 0, 4)}, "whole numbers"),
        ({"w": tensor("F32", [1], 4, 0)}, r"must be \[start, end\]"),
        ({"w": tensor("F32", [1], 4, 8)}, "belong to no tensor"),
        ({"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [1], 8, 12)}, "leaves a gap after 'a'"),
        ({"a": tensor("F32", [2], 0, 8), "b": tensor("F32", [1], 4, 8)}, "overlaps 'a'"),
        ({"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [1], 0, 4)}, "overlaps 'a'"),
    ],
)
def test_ranges_that_do_not_tile_the_data_should_be_refused(
    tensors: dict[str, object], complaint: str
) -> None:
    with pytest.raises(HeaderError, match=complaint):
        parse_header(json.dumps(tensors).encode())


def test_the_head_should_be_found_under_any_name_by_its_rows() -> None:
    found = find_head(header(zebra=("F16", [7, 4]), conv=("F32", [9, 3, 3, 3])), class_count=7)
    assert (found.weight, found.bias, found.feature_size, found.dtype) == ("zebra", None, 4, "F16")


def test_the_bias_beside_the_weight_should_be_taken() -> None:
    both = header(head__fc__weight=("F32", [7, 4]), head__fc__bias=("F32", [7]))
    assert find_head(both, class_count=7).bias == "head.fc.bias"


@pytest.mark.parametrize(
    "name", ["fc", "_fc", "head", "heads.head", "classifier.6", "module.classifier", "linear"]
)
def test_a_customary_name_should_decide_between_two_that_fit(name: str) -> None:
    weight = f"{name}.weight"
    both = header(**{weight: ("F32", [7, 4]), "mlp.weight": ("F32", [7, 7])})
    assert find_head(both, class_count=7).weight == weight


def test_two_that_fit_equally_should_never_be_guessed_between() -> None:
    both = header(first__weight=("F32", [7, 4]), second__weight=("F32", [7, 4]))
    with pytest.raises(HeaderError, match=r"2 tensors could be the head.*first.*second"):
        find_head(both, class_count=7)
    assert find_head(both, class_count=7, weight="second.weight").weight == "second.weight"


def test_a_class_count_that_fits_nothing_should_list_what_there_is() -> None:
    with pytest.raises(HeaderError, match=r"8 class names, 'fc\.weight' has 7 rows"):
        find_head(header(fc__weight=("F32", [7, 4])), class_count=8)


def test_a_head_of_integers_should_be_refused() -> None:
    with pytest.raises(HeaderError, match="is I64; legal are F16, BF16, F32, F64"):
        find_head(header(fc__weight=("I64", [7, 4])), class_count=7)


def test_a_name_that_is_not_there_should_be_refused_with_those_that_are() -> None:
    with pytest.raises(HeaderError, match=r"no tensor 'head\.weight'; it has 'fc\.weight'"):
        find_head(header(fc__weight=("F32", [7, 4])), class_count=7, weight="head.weight")


def test_a_bias_of_another_shape_or_dtype_should_be_refused() -> None:
    with pytest.raises(HeaderError, match="must be F32"):
        find_head(header(fc__weight=("F32", [7, 4]), fc__bias=("F16", [7])), class_count=7)

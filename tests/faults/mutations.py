"""Checkpoints that were sound until somebody changed them: strategies for Hypothesis.

A change knows what a header means, so that most get past the JSON; it does not know what is legal.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import strategies as st

from headgraft.workers.formats.safetensors import DTYPE_BITS
from tests.service.files import FEATURES, SEEN, class_names, head_tensors

Draw = Callable[[st.SearchStrategy[Any]], Any]
Pairs = list[tuple[str, Any]]
FIELDS = ("dtype", "shape", "data_offsets")
FIRST_BYTES = 8


class Raw(str):
    """Text that stands in the JSON as it is."""


@dataclass
class Draft:
    """A file in the making; its header is pairs, so that a name may stand twice."""

    tensors: Pairs
    data: bytes


NUMBERS = st.sampled_from(
    [
        *(0, 1, -1, 2, 3, 19, 20, 21, 2**31, 2**32, 2**53, 2**62 - 1, 2**62, 2**63, 2**64, 10**400),
        *(True, None, 1.0, -0.0, 0.5, 1e308, "3", [], {}, [1], {"a": 1}),
        *map(Raw, ("9" * 5000, "9" * 4000, "NaN", "Infinity", "-", "1e999", "01", "0x1", "1_0")),
    ]
)
NAMES = st.one_of(
    st.sampled_from(
        [
            "",
            "__metadata__",
            "fc.weight",
            "fc.bias",
            "head.weight",
            "classifier.1.weight",
            "a" * 600,
        ]
    ),
    st.text(max_size=8),
    st.sampled_from(list(map(Raw, (r'"\ud800"', r'"\u0000"', '"\n"', r'"\x"', "'a'", "a", "1")))),
)
DTYPES = st.one_of(
    st.sampled_from([*DTYPE_BITS, "f32", "F31", "", "I128", "BOOL "]), st.text(max_size=3), NUMBERS
)
DEPTHS = st.sampled_from([1, 2, 50, 130, 1000, 20_000])
CLASS_NAMES = st.one_of(
    st.sampled_from(
        [
            class_names(),
            class_names(SEEN - 1),
            class_names(SEEN + 1),
            ["class 1", *class_names(SEEN - 1)],
            [""] * SEEN,
            [1] * SEEN,
            [{"name": name, "description": "d"} for name in class_names()],
            [{"nom": name} for name in class_names()],
            {"0": "class"},
            "class",
            None,
        ]
    ),
    st.lists(st.text(max_size=4), min_size=SEEN, max_size=SEEN),
)


@cache
def sound(dtype: str, *, has_bias: bool) -> Draft:
    """Return a file with nothing wrong in it."""
    tensors: Pairs = []
    data = b""
    for name, (kind, shape, content) in head_tensors(dtype).items():
        if has_bias or name != "fc.bias":
            place = [len(data), len(data) + len(content)]
            fields = {"dtype": kind, "shape": list(shape), "data_offsets": place}
            tensors.append((name, fields))
            data += content
    return Draft(tensors, data)


def _pick(draw: Draw, draft: Draft) -> dict[str, Any]:
    """Return the fields of one tensor, or a stray dictionary where there is none left."""
    found = [value for _, value in draft.tensors if isinstance(value, dict)]
    return draw(st.sampled_from(found)) if found else {}


def change_number(draw: Draw, draft: Draft) -> None:
    fields = _pick(draw, draft)
    field = fields.get(draw(st.sampled_from(FIELDS[1:])))
    if isinstance(field, list) and field:
        field[draw(st.integers(0, len(field) - 1))] = draw(NUMBERS)


def shift_range(draw: Draw, draft: Draft) -> None:
    place = _pick(draw, draft).get("data_offsets")
    if isinstance(place, list) and all(type(at) is int for at in place):
        by = draw(st.integers(-8, 8) | st.sampled_from([-(10**6), 10**6, 2**61]))
        place[:] = [at + by for at in place]


def swap_fields(draw: Draw, draft: Draft) -> None:
    left, right, field = _pick(draw, draft), _pick(draw, draft), draw(st.sampled_from(FIELDS))
    left[field], right[field] = right.get(field), left.get(field)


def change_dtype(draw: Draw, draft: Draft) -> None:
    _pick(draw, draft)["dtype"] = draw(DTYPES)


def change_shape(draw: Draw, draft: Draft) -> None:
    # Shapes of the same size too: they are the ones that reach the search for the head.
    shapes = [[SEEN, FEATURES], [FEATURES, SEEN], [SEEN * FEATURES], [SEEN, 4, 4], [SEEN, 0], []]
    choices = [*shapes, [SEEN, FEATURES, 1], [2**61] * 500, [0] * 70, [1] * 70, [2**40, 2**40, 0]]
    _pick(draw, draft)["shape"] = list(draw(st.sampled_from(choices)))


def rename(draw: Draw, draft: Draft) -> None:
    if draft.tensors:
        index = draw(st.integers(0, len(draft.tensors) - 1))
        draft.tensors[index] = (draw(NAMES), draft.tensors[index][1])


def repeat_name(draw: Draw, draft: Draft) -> None:
    if draft.tensors:
        draft.tensors.append(draw(st.sampled_from(draft.tensors)))


def drop(draw: Draw, draft: Draft) -> None:
    if draft.tensors:
        draft.tensors.pop(draw(st.integers(0, len(draft.tensors) - 1)))


def drop_field(draw: Draw, draft: Draft) -> None:
    _pick(draw, draft).pop(draw(st.sampled_from(FIELDS)), None)


def add_field(draw: Draw, draft: Draft) -> None:
    _pick(draw, draft)[str(draw(st.text(max_size=4)))] = draw(NUMBERS)


def nest(draw: Draw, draft: Draft) -> None:
    opening, closing = draw(st.sampled_from([("[", "]"), ('{"a":', "}")]))
    depth = draw(DEPTHS)
    core = draw(st.sampled_from(["1", "", "[]"]))
    _pick(draw, draft)[draw(st.sampled_from(FIELDS))] = Raw(
        opening * depth + core + closing * depth
    )


def move(draw: Draw, draft: Draft) -> None:
    draft.tensors = draw(st.permutations(draft.tensors))


def change_metadata(draw: Draw, draft: Draft) -> None:
    text = draw(CLASS_NAMES)
    said = draw(st.sampled_from([text, json.dumps(text), json.dumps(text)[:-1], str(text)]))
    draft.tensors.insert(0, ("__metadata__", draw(st.sampled_from([{"class_names": said}, said]))))


def change_data(draw: Draw, draft: Draft) -> None:
    kind = draw(st.sampled_from(["cut", "more", "ones", "none"]))
    if kind == "cut":
        draft.data = draft.data[: -draw(st.integers(1, 100))]
    elif kind == "ones":
        at = draw(st.integers(0, len(draft.data)))
        draft.data = draft.data[:at] + b"\xff" * 8 + draft.data[at + 8 :]
    else:
        draft.data = draft.data + bytes(draw(st.integers(1, 9))) if kind == "more" else b""


CHANGES = [
    *(change_number, shift_range, swap_fields, change_dtype, change_shape, rename, repeat_name),
    *(drop, drop_field, add_field, nest, move, change_metadata, change_data),
]


def written(value: Any) -> str:
    """Write JSON, with pairs for objects and raw text as it is."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        value = list(value.items())
        return "{" + ",".join(f"{written(k)}:{written(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value)


def _spoil(draw: Draw, header: bytes) -> bytes:
    """Change a header's bytes without regard to what they mean."""
    spoilt = bytearray(header)
    kind = draw(st.sampled_from(["flip", "cut", "before", "behind", "insert"]))
    at = draw(st.integers(0, len(spoilt) - 1))
    stray = draw(
        st.sampled_from([b" ", b"\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"{", b"}", b'"', b","])
    )
    if kind == "flip":
        spoilt[at] ^= 1 << draw(st.integers(0, 7))
    elif kind == "cut":
        del spoilt[at:]
    else:
        place = {"before": 0, "behind": len(spoilt), "insert": at}[kind]
        spoilt[place:place] = stray
    return bytes(spoilt)


@st.composite
def checkpoints(draw: Draw) -> bytes:
    """Draw a file: sound, changed in meaning up to three times, and perhaps in its bytes too."""
    names = json.dumps(class_names())
    metadata = draw(st.sampled_from([None, {}, {"class_names": names}, {"format": "pt"}]))
    dtype = draw(st.sampled_from(["F32", "F16", "BF16", "F64"]))
    draft = copy.deepcopy(sound(dtype, has_bias=draw(st.booleans())))
    if metadata is not None:
        draft.tensors.insert(0, ("__metadata__", dict(metadata)))
    for change in draw(st.lists(st.sampled_from(CHANGES), max_size=3)):
        change(draw, draft)
    pairs = ",".join(f"{written(name)}:{written(value)}" for name, value in draft.tensors)
    header = f"{{{pairs}}}".encode("utf-8", "surrogatepass")
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        header = _spoil(draw, header) if header else header
    length: int = len(header) + draw(st.sampled_from([0] * 15 + [1, -1, 8, 2**60, -len(header)]))
    whole = (length % 2**64).to_bytes(FIRST_BYTES, "little") + header + draft.data
    kept: int = draw(st.integers(0, len(whole))) if draw(st.integers(0, 19)) == 19 else len(whole)
    return whole[:kept]

"""Lists of names as people have them: each is read, or refused with the reason; none is guessed."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headgraft.workers.names.class_list import NamesError
from headgraft.workers.names.files import parse_names, read_names
from tests.workers.names.lists import FORMATS

NAMES = ("tench", "great white shark", "crane", "missile", "fire truck")
TWO_CRANES = ("tench", "crane", "missile", "crane")
LETTERS = "abcdefghijklmnopqrstuvwxyzäßéあ漢'"
WORD = st.text(LETTERS, min_size=2, max_size=8).filter(lambda text: text[0].isalpha())
LISTS = st.lists(
    st.lists(WORD, min_size=1, max_size=2).map(" ".join), min_size=4, max_size=12, unique=True
)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_should_give_the_names_in_row_order(kind: str) -> None:
    suffix, write = FORMATS[kind]
    assert parse_names(write(NAMES).encode(), suffix).names == NAMES


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "label2id"])
def test_two_rows_of_one_name_should_stay_two(kind: str) -> None:
    suffix, write = FORMATS[kind]
    assert parse_names(write(TWO_CRANES).encode(), suffix).names == TWO_CRANES


@pytest.mark.parametrize(
    ("text", "suffix", "names", "source"),
    [
        ("zebra: a striped horse\n\nokapi\n", "", ("zebra", "okapi"), "lines"),
        ("\n".join(f"class {n}" for n in range(3)), "", ("class 0", "class 1", "class 2"), "lines"),
        ("tench, Tinca tinca\ngoldfish\n", "", ("tench, Tinca tinca", "goldfish"), "lines"),
        ("Acura RL 2012\nAudi TT 2011\nFiat 500 2012", "", None, "lines"),
        ("1 001.Black_Tern\n2 002.Auk\n", "", ("Black_Tern", "Auk"), "numbered lines"),
        ("/a/airfield 0\n/b/bar 1\n", "", ("airfield", "bar"), "numbered lines"),
        ("0: a\n1: b\n10: k\n" + "".join(f"{n}: {chr(97 + n)}\n" for n in range(2, 10)), "",
         tuple("abcdefghijk"), "numbered lines"),
        ("n01440764 tench, Tinca tinca\nn01443537 goldfish", "", ("tench", "goldfish"),
         "lines with synsets"),
        ("2fd91d27-9832-4332-989a-000000000000;aves;;crane\n"
         "2fd91d27-9832-4332-989a-000000000001;aves;;auk\n", "", ("crane", "auk"), "column 4"),
        ('name,description\nokapi,"a forest giraffe"\n', ".csv", ("okapi",), "column name"),
        (",name\n1,b\n0,a\n", ".csv", ("a", "b"), "column name"),
        ('{"meta": {"CLASSES": ["a", "b"]}}', "", ("a", "b"), "meta.CLASSES"),
        ('{"id2label": {"0": "crane", "1": "crane"}, "label2id": {"crane": 1}}', "",
         ("crane", "crane"), "id2label"),
        ('{"pretrained_cfg": {"label_names": ["n00004475"], "label_descriptions": '
         '{"n00004475": "organism, being"}}}', "", ("organism",), "pretrained_cfg.label_names"),
        ('{"categories": [{"id": 1, "name": "a"}, {"id": 7, "name": "b"}]}', "", ("a", "b"),
         "categories"),
    ],
)  # fmt: skip
def test_what_stands_beside_the_names_should_not_become_one(
    text: str, suffix: str, names: tuple[str, ...] | None, source: str
) -> None:
    found = parse_names(text.encode(), suffix)
    assert found.names == (names or tuple(text.split("\n")))
    assert found.source == source


@pytest.mark.parametrize(
    ("raw", "suffix", "reason"),
    [
        (b"\n \n", "", "lists no class"),
        (b"\xff\xfe", "", "no UTF-8"),
        (b"caf\xe9\n", "", "no UTF-8 text"),
        (b"a\nb\x00c\n", "", "line 2 holds the control character U\\+0000"),
        ("a\nb\u2028c\n".encode(), "", "U\\+2028"),
        (b'[\n"a",\n"b"\n', ".json", "breaks at line"),
        (b'"a",\n"b",\n', "", "quotes and commas are no part of a name"),
        (b"a\nb\n]\n", "", "a piece of JSON"),
        (b"0: a\n1: b\n3: c\n", "", "2 is missing"),
        (b"0: a\n1: b\n1: c\n", "", "has the number 1, as another has"),
        (b"0 a\n1 b\nc\n3 d\n", "", "line 3 has no number"),
        (b"5: a\n9: b\n7: c\n", "", "do not count the rows"),
        (b"n00000001 a\nb\nn00000002 c\n", "", "line 2 has no synset"),
        (b"/data/a\n/data/b\n", "", "every line begins with '/'"),
        (b"- a\n- b\n", "", "every line begins with '-'"),
        (b"a.jpg\nb.jpg\n", "", "every line is a path"),
        (b"okapi,a giraffe\npuma,a cat\n", ".csv", "2 columns of the CSV could be the names"),
        (b"no,what\n0,a\n1,b\n", ".csv", "may be a class or a header"),
        (b"0,a\n1\n", ".csv", "has 1 columns"),
        (b'0,"a\n', ".csv", "the CSV breaks"),
        (b"index,name\n0,a\n1,b\n1,c\n", ".csv", "has the number 1"),
        (b"id,row,name\n0,2,a\n1,1,b\n2,0,c\n", ".csv", "in different orders"),
        (b'{"0": "a", "0": "b"}', "", "stands twice"),
        (b'{"0": "a", "2": "b"}', "", "1 is missing"),
        (b'{"a": 0, "b": 0}', "", "row 0 of .* is given twice"),
        (b'{"a": "x", "b": "y"}', "", "its keys are 'a', 'b'"),
        (b"[1, 2]", "", "entry 1 is 1, no name"),
        (b'["a", ""]', "", "entry 2 names no class"),
        (b'{"id2label": {"0": "a", "1": "b"}, "label2id": {"b": 0, "a": 1}}', "", "contradict"),
        (b'{"classes": ["a", "b"], "names": ["b", "a"]}', "", "contradict"),
        (b"nc: 3\nnames: [a, b]\n", ".yaml", "2 names, and nc says 3"),
        (b"names:\n  0: a\n  0: b\n", ".yaml", "stands twice"),
        (b"names: [a, b\n", ".yaml", "it is no YAML"),
        (b"<!DOCTYPE html>", "", "a web page"),
        (b"[" * 100_000, "", "nests too deeply|no JSON"),
    ],
)  # fmt: skip
def test_what_is_a_list_by_accident_only_should_be_refused(
    raw: bytes, suffix: str, reason: str
) -> None:
    with pytest.raises(NamesError, match=reason):
        parse_names(raw, suffix)


def test_what_was_understood_should_be_said(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"id2label": {"0": "cat", "1": "dog", "2": "bat"}}))
    assert read_names(path).summary == "3 names: cat ... bat, from id2label"
    path.write_text("{}")
    with pytest.raises(NamesError, match=r"labels\.json: no list of class names"):
        read_names(path)


@st.composite
def files(draw: st.DrawFn) -> tuple[tuple[str, ...], bytes, str]:
    """Draw names, and a sound file of them in any format, line end and encoding."""
    names = tuple(draw(LISTS))
    suffix, write = FORMATS[draw(st.sampled_from(sorted(FORMATS)))]
    text = write(names).replace("\n", draw(st.sampled_from(["\n", "\r\n", "\r"])))
    text += draw(st.sampled_from(["", "\n", "\r\n\r\n"]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    return names, text.encode(encoding), suffix


def check_sound(file: tuple[tuple[str, ...], bytes, str]) -> None:
    names, raw, suffix = file
    assert parse_names(raw, suffix).names == names


def check_damaged(file: tuple[tuple[str, ...], bytes, str], data: st.DataObject) -> None:
    """A list that is read after all has another length, or differs where it was damaged alone."""
    names, raw, suffix = file
    kind = data.draw(st.sampled_from(["cut", "without a line", "a line twice", "another byte"]))
    if kind == "cut":
        damaged = raw[: data.draw(st.integers(1, len(raw)))]
    elif kind == "another byte":
        at = data.draw(st.integers(0, len(raw) - 1))
        damaged = raw[:at] + bytes([data.draw(st.integers(0, 255))]) + raw[at + 1 :]
    else:
        lines = raw.splitlines(keepends=True)
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at : at + 1] = [] if kind == "without a line" else [lines[at], lines[at]]
        damaged = b"".join(lines)
    try:
        found = parse_names(damaged, suffix).names
    except NamesError:
        return
    if len(found) == len(names):
        differing = sum(left != right for left, right in zip(names, found, strict=True))
        assert differing <= 1, (damaged, found)


@settings(max_examples=60, deadline=None)
@given(files())
@example((("ab", "cd", "ef", "gh"), "ab\r\ncd\r\nef\r\ngh".encode("utf-16"), ""))
def test_line_ends_and_encodings_should_not_matter(
    file: tuple[tuple[str, ...], bytes, str],
) -> None:
    check_sound(file)


@settings(max_examples=60, deadline=None)
@given(files(), st.data())
def test_a_damaged_list_should_not_give_wrong_names_in_silence(
    file: tuple[tuple[str, ...], bytes, str], data: st.DataObject
) -> None:
    check_damaged(file, data)


@pytest.mark.soak
@settings(max_examples=20_000, deadline=None)
@given(files(), st.data())
def test_many_lists_should_be_read_or_refused(
    file: tuple[tuple[str, ...], bytes, str], data: st.DataObject
) -> None:
    check_sound(file)
    check_damaged(file, data)

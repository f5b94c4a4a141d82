"""Conditional and range requests, header by header."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgraft.service.web.preconditions import Preconditions, Span
from headgraft.service.web.problems import ProblemError

TAG = '"abc"'


@pytest.mark.parametrize(
    ("lines", "unchanged"),
    [
        (None, False),
        ([""], False),
        (['"abc"'], True),
        (['W/"abc"'], True),
        (['"x", "abc"'], True),
        (['"x",W/"abc" , "y"'], True),
        (['"x"', '"abc"'], True),
        (['"x", "y"'], False),
        (["*"], True),
        ([" * "], True),
        (['"*"'], False),
        (["abc"], False),
        (['"abcd"'], False),
        (['"xabc"'], False),
        (['"x,abc"'], False),
        (['w/"abc"'], True),  # a tag behind a stray w/: still the tag
    ],
)
def test_if_none_match_should_be_compared_weakly(lines: list[str] | None, unchanged: bool) -> None:
    expected = "not_modified" if unchanged else "send"

    assert Preconditions(if_none_match=lines).verdict(TAG) == expected


@pytest.mark.parametrize(
    ("lines", "goes_on"),
    [
        (None, True),
        (['"abc"'], True),
        (['"x", "abc"'], True),
        (["*"], True),
        (['W/"abc"'], False),
        (['"x"'], False),
        (["abc"], False),
    ],
)
def test_if_match_should_be_compared_strongly(lines: list[str] | None, goes_on: bool) -> None:
    asked = Preconditions(if_match=lines)

    if goes_on:
        assert asked.verdict(TAG) == "send"
        return
    with pytest.raises(ProblemError, match="none of those") as caught:
        asked.verdict(TAG)
    assert caught.value.status == 412


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 100)),
        ("bytes=10-19", (10, 20)),
        ("Bytes=10-19", (10, 20)),
        ("bytes= 10-19 ", (10, 20)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=99-99", (99, 100)),
        ("bytes=-1", (99, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=5-4", None),
        ("bytes=0-1,5-6", None),
        ("bytes=0-1,", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=\u0661-", None),
        ("bytes=--1", None),
        ("rows=0-1", None),
        ("0-1", None),
        (f"bytes=0-{10**30}", None),
    ],
)
def test_a_range_should_be_read_as_rfc_9110_has_it(asked: str | None, span: Span | None) -> None:
    assert Preconditions(range=asked).span(TAG, 100) == span


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=-0", f"bytes={10**18}-"])
def test_a_range_without_a_byte_should_be_refused_with_the_size(asked: str) -> None:
    with pytest.raises(ProblemError) as caught:
        Preconditions(range=asked).span(TAG, 100)

    assert caught.value.status == 416
    assert caught.value.headers == {"Content-Range": "bytes */100"}


@pytest.mark.parametrize("tag", ['W/"abc"', '"x"', "abc", "Sat, 29 Oct 1994 19:43:31 GMT", "*"])
def test_a_range_of_another_file_should_be_ignored(tag: str) -> None:
    assert Preconditions(range="bytes=0-1", if_range=tag).span(TAG, 100) is None
    assert Preconditions(range="bytes=500-", if_range=tag).span(TAG, 100) is None
    assert Preconditions(range="bytes=0-1", if_range=TAG).span(TAG, 100) == (0, 2)


@given(
    st.integers(0, 60), st.none() | st.integers(0, 60), st.integers(1, 50).map(bytes), st.booleans()
)
def test_a_range_should_cut_as_a_slice_does(
    first: int, last: int | None, content: bytes, from_the_end: bool
) -> None:
    content = bytes(range(len(content)))
    asked = f"bytes=-{first}" if from_the_end else f"bytes={first}-{'' if last is None else last}"
    if from_the_end:
        expected = content[max(len(content) - first, 0) :]
    else:
        expected = content[first:] if last is None else content[first : last + 1]
    try:
        span = Preconditions(range=asked).span(TAG, len(content))
    except ProblemError:
        assert expected == b""
        return
    if span is None:
        assert not from_the_end
        assert last is not None
        assert last < first
    else:
        assert content[span[0] : span[1]] == expected


@given(st.text(), st.text(), st.text(), st.text())
def test_no_header_should_break_the_reading(match: str, none: str, part: str, same: str) -> None:
    asked = Preconditions([match], [none], same, part)
    with suppress(ProblemError):
        assert asked.verdict(TAG) in ("send", "not_modified")
    with suppress(ProblemError):
        assert asked.span(TAG, 10) is None or part.lower().startswith("bytes=")

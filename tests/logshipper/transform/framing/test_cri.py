"""Framing of the format of container runtimes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.transform.framing.cri import CriFraming
from sidecars.logshipper.transform.framing.multiline import create_splitter
from tests.logshipper.transform.framing.cut_streams import assert_cuts_change_nothing, assert_every_byte_is_counted

_TIME = "2026-01-02T03:04:05.123456789Z"
_LINES = st.lists(
    st.builds(
        lambda stream, tag, text: f"{_TIME} {stream} {tag} {text}\n",
        st.sampled_from(["stdout", "stderr"]),
        st.sampled_from("PF"),
        st.sampled_from(["a", " b", "", "\tat x", "é"]),
    )
    | st.sampled_from(["not of the format\n", "\n"]),
    min_size=1,
    max_size=20,
)


def texts(data: str, multiline: str = "none", limit: int = 1 << 20) -> list[tuple[str, str]]:
    events = CriFraming(create_splitter(multiline, limit), limit).events(data.encode(), 0)
    return list(zip(events.streams or [], events.bodies, strict=True))


def test_pieces_are_joined_within_their_stream_and_other_lines_stay_as_they_are() -> None:
    data = f"{_TIME} stdout P one \n{_TIME} stderr F other\n{_TIME} stdout F line\nsomething else\n{_TIME} stdout F \n"
    assert texts(data) == [("stdout", "one line"), ("stderr", "other"), ("", "something else"), ("stdout", "")]


@given(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=30), st.data())
def test_a_line_that_was_cut_within_its_characters_is_whole_again(text: str, data: st.DataObject) -> None:
    line = text.encode()
    places = [0, *sorted(data.draw(st.lists(st.integers(0, len(line)), max_size=3))), len(line)]
    pieces = [line[begin:end] for begin, end in pairwise(places)]
    tags = [b"P"] * (len(pieces) - 1) + [b"F"]
    entries = [b"%s stdout %s %s\n" % (_TIME.encode(), tag, piece) for tag, piece in zip(tags, pieces, strict=True)]
    assert CriFraming(None, 1 << 20).events(b"".join(entries), 0).bodies == [text]


def test_bytes_that_are_no_text_are_replaced_also_in_pieces() -> None:
    data = f"{_TIME} stdout P a".encode() + b"\xff\n" + f"{_TIME} stdout F b".encode() + b"\xc3\nno entry \xff\n"
    assert CriFraming(None, 1 << 20).events(data, 0).bodies == ["a\ufffdb\ufffd", "no entry \ufffd"]


def test_lines_are_joined_to_events_within_their_stream() -> None:
    data = f"{_TIME} stdout F a\n{_TIME} stdout F  b\n{_TIME} stderr F  c\n{_TIME} stdout P  d\n{_TIME} stdout F e\n"
    assert texts(data, "indent") == [("stdout", "a\n b"), ("stderr", " c"), ("stdout", " de")]


@given(_LINES, st.sampled_from(["none", "indent", "java"]), st.data())
def test_wherever_the_stream_is_cut_the_events_are_the_same(
    lines: list[str], multiline: str, data: st.DataObject
) -> None:
    assert_cuts_change_nothing(CriFraming(create_splitter(multiline, 1 << 20), 1 << 20), lines, data)


@given(_LINES, st.binary(max_size=20), st.integers(0, 2**40), st.sampled_from([100, 1 << 20]))
def test_every_byte_and_line_belongs_to_one_event(lines: list[str], last: bytes, start: int, limit: int) -> None:
    assert_every_byte_is_counted(CriFraming(None, limit), "".join(lines).encode() + last, start)


def test_a_line_in_more_pieces_than_the_limit_allows_is_several_events() -> None:
    data = f"{_TIME} stdout P {'x' * 50}\n" * 4 + f"{_TIME} stdout F end\n"
    got = texts(data, limit=200)
    assert "".join(text for _, text in got) == "x" * 200 + "end"
    assert len(got) == 3

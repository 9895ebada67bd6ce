"""Framing of the entries of Docker's json-file driver."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.transform.framing.docker import DockerFraming
from sidecars.logshipper.transform.framing.multiline import create_splitter
from tests.logshipper.transform.framing.cut_streams import assert_cuts_change_nothing, assert_every_byte_is_counted

_LOGS = ["a\n", " b\n", "\n", "piece ", "\tat x\n", "é\n", 'q"\\n', "x\\n\n", 'e\\n","\n', "a\nb\n", "end\r\n"]


def entry(log: str, stream: str = "stdout", **further: object) -> str:
    found = {"log": log, "stream": stream, **further, "time": "2026-01-02T03:04:05.1Z"}
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False) + "\n"


_LINES = st.lists(
    st.builds(entry, st.sampled_from(_LOGS), st.sampled_from(["stdout", "stderr"]))
    | st.sampled_from(
        ["no JSON\n", "\n", '{"log":1}\n', entry("x", attrs={"a": 'y\n"'}), entry("x\n", attrs={"a": "y"})]
    ),
    min_size=1,
    max_size=20,
)


def texts(data: str, multiline: str = "none", limit: int = 1 << 20) -> list[tuple[str, str]]:
    events = DockerFraming(create_splitter(multiline, limit), limit).events(data.encode(), 0)
    return list(zip(events.streams or [], events.bodies, strict=True))


def test_a_log_without_a_newline_goes_on_in_the_next_entry_of_its_stream() -> None:
    data = entry("one ") + entry("other\n", "stderr") + entry("line\r\n") + "something else\n" + entry("\n")
    assert texts(data) == [("stdout", "one line"), ("stderr", "other"), ("", "something else"), ("stdout", "")]


def test_attributes_come_with_the_first_piece() -> None:
    data = entry("one ", attrs={"tag": "x"}) + entry("line\n", attrs={"tag": "x"}) + entry("next\n")
    events = DockerFraming(None, 1 << 20).events(data.encode(), 0)
    assert events.attributes == [{"tag": "x"}, None]


def test_a_log_that_ends_with_a_backslash_and_an_n_has_no_newline() -> None:
    data = (entry("a\\n") + entry("b\n")).encode()
    framing = DockerFraming(None, 1 << 20)
    assert framing.events(data, 0).bodies == ["a\\nb"]
    assert framing.boundary is not None
    assert framing.boundary(entry("a\\n").encode()) == 0, "it waits for the rest"


@given(_LINES, st.sampled_from(["none", "indent", "java"]), st.data())
def test_wherever_the_stream_is_cut_the_events_are_the_same(
    lines: list[str], multiline: str, data: st.DataObject
) -> None:
    assert_cuts_change_nothing(DockerFraming(create_splitter(multiline, 1 << 20), 1 << 20), lines, data)


@given(_LINES, st.binary(max_size=20), st.integers(0, 2**40), st.sampled_from([100, 1 << 20]))
def test_every_byte_and_line_belongs_to_one_event(lines: list[str], last: bytes, start: int, limit: int) -> None:
    assert_every_byte_is_counted(DockerFraming(None, limit), "".join(lines).encode() + last, start)


def test_attributes_that_are_no_texts_make_the_line_one_in_another_format() -> None:
    lines = ["1", "12345678901234567890123", "[" * 300 + "]" * 300, "null"]
    data = "".join(f'{{"log":"x\\n","stream":"stdout","time":"t","attrs":{{"a":{value}}}}}\n' for value in lines)
    assert texts(data) == [("", line) for line in data.splitlines()]

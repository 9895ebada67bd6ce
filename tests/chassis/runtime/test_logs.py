"""The form of log lines, and the characters that they never have."""

from __future__ import annotations

import io
import json
import logging
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.runtime import logs


class Stream(io.StringIO):
    """The stream of a test's log."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_message_and_flat_fields() -> None:
    stream = Stream()
    logs.configure(stream=stream)

    logs.get("warcopier").info("published", file="shop.war", bytes=7)

    [line] = stream.lines()
    when = datetime.fromisoformat(line.pop("time"))
    assert when.utcoffset() is not None
    assert abs(when.timestamp() - datetime.now(when.tzinfo).timestamp()) < 60
    assert line == {"level": "info", "msg": "published", "logger": "warcopier", "file": "shop.war", "bytes": 7}


def test_time_level_and_message_come_first_so_that_a_person_can_read_it() -> None:
    stream = Stream()
    logs.configure(stream=stream)

    logs.get("x").warning("careful", code="test", a=1)

    assert list(stream.lines()[0])[:3] == ["time", "level", "msg"]


@given(st.text(), st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(), max_size=3))
def test_whatever_is_logged_stays_on_one_line_of_json(message: str, fields: dict[str, str]) -> None:
    stream = Stream()
    logs.configure("debug", "json", stream)

    logs.get("x").info(message, **fields)

    assert stream.getvalue().count("\n") == 1
    line = json.loads(stream.getvalue())
    assert line["msg"] == message


@pytest.mark.parametrize("name", ["time", "level", "msg", "logger"])
def test_a_field_never_hides_what_every_line_has(name: str) -> None:
    stream = Stream()
    logs.configure("info", "json", stream)
    fields: dict[str, Any] = {name: "mine"}

    logs.get("x").info("hello", **fields)

    [line] = stream.lines()
    assert line[name] != "mine"
    assert line[f"{name}_"] == "mine"


@pytest.mark.parametrize(("level", "expected"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_lines_below_the_level_are_not_logged(level: str, expected: int) -> None:
    stream = Stream()
    logs.configure(level, "json", stream)
    log = logs.get("x")

    log.debug("hello")
    log.info("hello")
    log.warning("hello", code="test")
    log.error("hello", code="test")

    assert len(stream.lines()) == expected


@pytest.mark.parametrize(
    ("form", "terminal", "is_json"),
    [
        ("auto", False, True),
        ("auto", True, False),
        ("json", True, True),
        ("text", False, False),
    ],
)
def test_auto_is_text_on_a_terminal_and_json_elsewhere(form: str, terminal: bool, is_json: bool) -> None:  # noqa: FBT001 - a table
    stream = Stream(terminal=terminal)
    logs.configure("info", form, stream)

    logs.get("x").info("hello", a=1)

    assert stream.getvalue().startswith("{") == is_json
    assert "hello" in stream.getvalue()
    assert ("a=" in stream.getvalue()) != is_json


@pytest.mark.parametrize(
    ("form", "terminal", "is_text"), [("auto", False, False), ("auto", True, True), ("text", False, True)]
)
def test_a_program_can_ask_whether_its_lines_are_for_eyes(form: str, terminal: bool, is_text: bool) -> None:  # noqa: FBT001 - a table
    logs.configure("info", form, Stream(terminal=terminal))

    assert logs.is_text() == is_text


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_that_a_peer_has_written_is_obeyed_by_a_terminal(form: str) -> None:
    stream = Stream()
    logs.configure("info", form, stream)

    logs.get("x").info("hello \x1b[2J", reason="\x9b31m\x07\x7f")

    assert stream.getvalue().removesuffix("\n").isprintable()
    assert "\\u001b[2J" in stream.getvalue()
    assert "\\u009b31m" in stream.getvalue()


def test_a_defect_carries_its_traceback() -> None:
    stream = Stream()
    logs.configure("info", "json", stream)

    try:
        int("nobody expected this")
    except ValueError as error:
        logs.get("x").defect("a defect", error)

    [line] = stream.lines()
    assert line["level"] == "error"
    assert "nobody expected this" in line["traceback"]
    assert __file__ in line["traceback"]


def test_logging_to_a_stream_that_is_gone_does_not_raise() -> None:
    stream = Stream()
    logs.configure("info", "json", stream)
    stream.close()

    logs.get("x").info("hello")


def test_configuring_again_replaces_the_former() -> None:
    first, second = Stream(), Stream()
    logs.configure(stream=first)
    logs.configure(stream=second)

    logs.get("x").info("hello")

    assert not first.getvalue()
    assert len(second.lines()) == 1


def test_what_other_libraries_log_has_the_same_form() -> None:
    stream = Stream()
    logs.configure(stream=stream, libraries=True)

    logging.getLogger("some.library").warning("odd: %s", 7)

    assert stream.lines()[0]["msg"] == "odd: 7"
    assert stream.lines()[0]["logger"] == "some.library"
    assert stream.lines()[0]["code"] == "library-message"


def test_before_it_is_configured_lines_go_where_those_of_libraries_go(caplog: pytest.LogCaptureFixture) -> None:
    logs.get("x").warning("careful", code="test", a=1)

    assert caplog.messages == ["careful"]
    assert caplog.records[0].levelname == "WARNING"


# -- long lines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("character", ["x", "\x1b", '"', "ü", "\U0001f600", "\udc80"])
def test_a_long_line_is_cut_so_that_lines_of_several_processes_do_not_mix(form: str, character: str) -> None:
    stream = Stream()
    logs.configure(stream=stream, form=form)

    logs.get("x").info("request", path=character * 9000, reason=character * 5000, status=200)

    line = stream.getvalue()
    assert len(line.encode(errors="backslashreplace")) <= logs.LONGEST
    assert "…" in line
    if form == "json":
        assert json.loads(line)["status"] == 200


def test_a_line_that_is_not_too_long_is_whole() -> None:
    stream = Stream()
    logs.configure(stream=stream)

    logs.get("x").info("request", path="x" * 3000)

    assert stream.lines()[0]["path"] == "x" * 3000


def test_of_a_long_traceback_the_end_is_kept() -> None:
    stream = Stream()
    logs.configure(stream=stream)

    logs.get("x").defect("a defect", ValueError("the reason" + 5000 * " very" + " long, and its end"))

    [line] = stream.lines()
    assert line["traceback"].startswith("…")
    assert line["traceback"].endswith("long, and its end")


def test_a_line_of_many_short_fields_stays_whole() -> None:
    stream = Stream()
    logs.configure(stream=stream)
    settings = {f"SETTING_{number}": "x" * 100 for number in range(100)}

    logs.get("x").info("starting", **settings)

    assert settings.items() <= stream.lines()[0].items()


def test_a_long_text_of_the_interpreter_is_written_in_pieces_that_do_not_mix() -> None:
    lines = [b"short", b"", b"x" * 9000, b"end"]
    text = b"\n".join(lines) + b"\n"

    assert list(logs._pieces(b"a\nb\n")) == [b"a\nb\n"]
    pieces = list(logs._pieces(text))
    assert max(map(len, pieces)) <= logs.LONGEST
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert b"".join(pieces).replace(b"\n", b"") == text.replace(b"\n", b"")

"""Log lines for eyes on a terminal: columns, colours, and nothing that a peer has written is obeyed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.runtime.log_text import as_text, may_colour

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def line(
    level: str = "info", logger: str = "ship", msg: str = "hello", *, colours: bool = False, **fields: object
) -> str:
    return as_text(level, logger, msg, fields, colours=colours)


def test_time_level_logger_message_and_fields_begin_in_the_same_columns_in_each_line() -> None:
    lines = [
        line("info", "ship", "delivered", lines=7),
        line("warning", "logshipper", "the receiver does not answer", lines=7),
        line("error", "confinement", "a", lines=7),
    ]

    assert {text.index(word) for text, word in zip(lines, ["info", "warning", "error"], strict=True)} == {9}
    assert {text.index(word) for text, word in zip(lines, ["ship", "logshipper", "confinement"], strict=True)} == {18}
    assert {text.index("lines=7") for text in lines} == {lines[0].index("lines=7")}


def test_yes_and_no_are_written_as_in_json() -> None:
    assert line(openat2=True, dumpable=False).endswith("openat2=true  dumpable=false")


def test_a_line_without_fields_has_no_blanks_at_its_end() -> None:
    assert line().endswith("hello")


@pytest.mark.parametrize(("level", "colour"), [("debug", "2"), ("info", "32"), ("warning", "33"), ("error", "1;31")])
def test_a_level_has_its_colour_and_the_name_of_a_field_is_dim(level: str, colour: str) -> None:
    coloured = line(level, colours=True, file="shop.war")

    assert f"\x1b[{colour}m{level}" in coloured
    assert "\x1b[2mfile=\x1b[0mshop.war" in coloured


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_without_its_colours_a_line_is_the_same_text(level: str) -> None:
    plain, coloured = (line(level, colours=colours, file="shop.war", bytes=7)[8:] for colours in (False, True))

    assert "\x1b" not in plain
    assert ESCAPES.sub("", coloured).endswith(plain)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm"}, True),
    ],
)
def test_no_color_and_a_dumb_terminal_are_respected(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], *, expected: bool
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert may_colour() is expected


@given(st.text(), st.text(), st.dictionaries(st.text(min_size=1, max_size=8), st.text(), max_size=3), st.booleans())
def test_nothing_that_a_peer_has_written_is_obeyed_and_no_field_begins_a_line(
    msg: str,
    logger: str,
    fields: dict[str, str],
    colours: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    shown = as_text(
        "warning", logger, msg, {name: text for name, text in fields.items() if name != "traceback"}, colours=colours
    )

    first, *rest = ESCAPES.sub("", shown).split("\n")
    assert first.isprintable()
    assert len(rest) == msg.count("\n")
    assert all(text.startswith(" " * 31) and text.isprintable() for text in rest)


def test_a_traceback_and_a_message_of_several_lines_are_indented_below_the_message() -> None:
    shown = line(msg="2 settings are wrong:\n  A=1", traceback="Traceback:\n  File x")

    column = shown.index("2 settings")
    assert [text[:column].strip() for text in shown.split("\n")[1:]] == ["", "", ""]
    assert [text[column:] for text in shown.split("\n")[1:]] == ["  A=1  traceback=", "Traceback:", "  File x"]

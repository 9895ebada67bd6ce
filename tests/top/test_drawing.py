"""A sidecar as lines of a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, Group

from sidecars.chassis.page.picture import KINDS, Column, Picture, Table, Words
from sidecars.top.drawing import drawn, sparkline
from sidecars.top.watched import Watched
from tests.support import examples

PICTURE = Picture(
    Words("Ledger", "ledger"),
    Table("Files", "files.*", (Column("File", "key:0"), *(Column(kind, "value", kind) for kind in sorted(KINDS)))),  # type: ignore[arg-type] # each is a kind
)


def watched(status: dict[str, Any], picture: Picture = PICTURE) -> Watched:
    one = Watched("http://joe:secret@127.0.0.1:9912/a/proxy?token=x")
    one.picture = picture
    one.status = {"name": "logshipper", "version": "1.2.3", "state": "ready", "since_seconds": 61, **status}
    return one


def shown(one: Watched, *, live: bool = False, width: int = 300) -> str:
    console = Console(file=io.StringIO(), width=width, no_color=True, force_terminal=False)
    console.print(Group(*drawn(one, width, live=live)))
    text = console.file.getvalue()  # type: ignore[attr-defined] # it is the StringIO
    assert isinstance(text, str)
    return text


def test_the_state_comes_first_and_why_and_no_credential_of_the_url_is_shown() -> None:
    lines = shown(watched({"state": "not ready", "reasons": ["listener: not yet"]})).splitlines()

    assert lines[0].startswith("logshipper 1.2.3  http://127.0.0.1:9912/a/proxy/ ")
    assert lines[1] == "✗ not ready for 61 s: listener: not yet"
    assert "secret" not in "".join(lines)


def test_trouble_words_and_siblings_are_shown() -> None:
    trouble = [{"code": "delivery-failed", "level": "warning", "message": "it failed", "count": 3, "age_seconds": 5}]
    one = watched({"trouble": trouble, "ledger": ["read 7 = delivered 7"]})
    one.siblings = [{"name": "adapter", "port": 9914, "state": "not ready", "reasons": ["x"], "since_seconds": 7}]

    text = shown(one)

    assert "▲ warning delivery-failed, 3 times, 5 s ago: it failed\n" in text
    assert "\nLedger\nread 7 = delivered 7\n" in text
    assert "delivery-failed, 1 time, 5 s ago" in shown(watched({"trouble": [{**trouble[0], "count": 1}]}))
    assert "✗ adapter :9914  not ready for 7 s: x\n" in text


def test_a_rate_and_its_sparkline_come_from_two_looks() -> None:
    one = watched(
        {}, Picture(Table("Files", "files.*", (Column("File", "key:0"), Column("Read", "read", "rate-spark"))))
    )
    for look in range(4):
        one.status = {**one.status, "uptime_seconds": 2.0 * look, "files": {"a.log": {"read": 10 * look}}}
        text = shown(one, live=True)

    assert "5/s  ███" in text
    assert "30" not in text
    assert "30" in shown(one)


def test_rows_that_are_wider_than_the_terminal_become_paragraphs() -> None:
    columns = (Column("File", "key:0"), Column("Read", "read", "bytes"), Column("State", "state", "state"))
    one = watched({"files": {"app.log": {"read": 2048, "state": "ready"}}}, Picture(Table("Files", "files.*", columns)))

    assert "app.log  2 KiB  ✓ ready" in shown(one).replace("   ", "  ")
    lines = [line.rstrip() for line in shown(one, width=18).splitlines()]
    assert lines[-3:] == ["app.log", "  Read 2 KiB", "  State ✓ ready"]


def test_no_title_in_a_paragraph_is_parted_from_its_value() -> None:
    columns = tuple(Column(f"Title {number}", "value") for number in range(12))
    one = watched({"files": {"app.log": {"value": "word"}}}, Picture(Table("Files", "files.*", columns)))

    lines = [line.strip() for line in shown(one, width=40).splitlines()]

    assert lines[-6] == "Title 1 word   Title 2 word"
    assert all(line.startswith("Title ") and line.endswith(" word") for line in lines[-6:])


def test_a_table_without_rows_and_without_a_sentence_is_left_out() -> None:
    assert "Workers" not in shown(
        watched({}, Picture(Table("Workers", "workers.*", (Column("It", "key:0"),), empty="")))
    )


def test_a_table_without_rows_has_its_sentence_instead() -> None:
    picture = Picture(Table("Files", "files.*", (Column("File", "key:0"),), empty="No file is read yet."))

    assert "\nFiles\nNo file is read yet.\n" in shown(watched({}, picture))


def test_of_very_many_rows_the_first_are_shown() -> None:
    text = shown(watched({"files": {f"{number}.log": {"value": number} for number in range(1000)}}))

    assert "299.log" in text
    assert "300.log" not in text
    assert "Only the first 300 rows are shown" in text


HOSTILE = "\x1b[2J\x1b]0;title\x07<script>\u202e\n[red]bold[/red]" + "x" * 10_000


def test_a_hostile_name_is_shown_as_text_wherever_it_stands() -> None:
    one = watched({"version": HOSTILE, "state": HOSTILE, "reasons": [HOSTILE], "ledger": HOSTILE,
                   "trouble": [{"code": HOSTILE, "level": HOSTILE, "message": HOSTILE, "count": HOSTILE}],
                   "files": {HOSTILE: {"value": HOSTILE}}})  # fmt: skip
    one.siblings = [{"name": HOSTILE, "port": HOSTILE, "state": HOSTILE, "reasons": [HOSTILE, 7]}]
    one.failure = "x"

    text = shown(one)

    assert text.replace("\n", "").isprintable()
    assert "\\u001b[2J" in text
    assert "[red]bold[/red]" in text
    assert len(text) < 60_000


def test_a_value_that_is_nested_very_deeply_is_named_so_wherever_it_stands() -> None:
    deep: list[Any] = []
    for _ in range(10_000):  # deeper than it can be written, also where a library has raised the limit of recursion
        deep = [deep]
    one = watched({"version": deep, "reasons": [deep], "ledger": [deep], "files": {"a": {"value": deep}},
                   "trouble": [{"level": deep, "code": "odd", "message": deep}]})  # fmt: skip
    one.siblings = [{"name": "adapter", "state": deep, "reasons": [deep]}]

    for live in (False, True):
        lines = shown(one, live=live).splitlines()
        assert lines[0].startswith("logshipper nested too deeply")
        assert lines[1] == "✓ ready for 61 s: nested too deeply"
        assert "cannot be shown" not in "".join(lines)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


@examples(30)
@given(VALUES, VALUES, VALUES, st.booleans())
def test_whatever_a_sidecar_says_is_drawn(value: Any, other: Any, reasons: Any, live: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    one = watched({"files": {"a": {"value": value}, "b": {"value": other}}, "reasons": reasons, "ledger": other})
    one.status = {**one.status, "trouble": other, "since_seconds": value, "uptime_seconds": 1.0}
    one.siblings = [{"state": value, "reasons": other, "since_seconds": reasons}]

    for uptime in (1.0, 3.0):
        one.status = {**one.status, "uptime_seconds": uptime}
        assert "Files" in shown(one, live=live)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ([], ""),
        ([0, 0], "▁▁"),
        ([0, 7, 14], "▁▄█"),
        ([5.0] * 40, "█" * 20),
        ([float("nan"), 1.0], "█"),
        ([-1, 1], "▁█"),
    ],
)
def test_a_sparkline_has_the_last_values_as_blocks(line: list[float], expected: str) -> None:
    assert sparkline(line) == expected

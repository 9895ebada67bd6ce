"""The tables of a picture as plain HTML, once: for `<noscript>` and text browsers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from itertools import islice
from typing import Any

from sidecars.chassis.page import values
from sidecars.chassis.page.picture import Column, Picture, Table, Words
from sidecars.chassis.runtime.printable import printable

MOST_ROWS = 300  # of a table
PROCESS = ("uptime_seconds", "pid", "connections", "descriptors", "confinement")


def outline(picture: Picture, status: Mapping[str, Any]) -> str:
    """Return the part of the page below its first sentence."""
    return "".join(_outline(picture, status))


def sentence(status: Mapping[str, Any]) -> str:
    """Return the first sentence of the page as text: the state, and since when."""
    since = str(status.get("since", "")).replace("T", " ").replace("Z", " UTC")
    return f"{status.get('state', '')} since {since}"


def why(status: Mapping[str, Any]) -> str:
    """Return the reasons for the state as text."""
    return "; ".join(map(values.text, status.get("reasons", ())))


def graded(state: str, sentence: str) -> str:
    """Return a sentence with the symbol of the state before it, as HTML."""
    grade = values.grade(state)
    return f'<span class="{grade}"><span aria-hidden=true>{values.SYMBOLS[grade]} </span>{escape(sentence)}</span>'


def _outline(picture: Picture, status: Mapping[str, Any]) -> Iterator[str]:
    yield from _list("Trouble", _troubles(status), "No warning and no error in the last 10 minutes.")
    for part in picture.parts:
        if isinstance(part, Table):
            yield from _table(part, status)
        else:
            yield from _words(part, status)
    yield from _facts("Process", {name: status[name] for name in PROCESS if name in status})
    yield from _facts("Settings", status.get("settings", {}))


def _troubles(status: Mapping[str, Any]) -> Iterator[str]:
    for one in status.get("trouble", ()):
        level = values.text(one.get("level"))
        ago = values.duration(one.get("age_seconds", 0))
        times = "1 time" if one.get("count") == 1 else f"{one.get('count')} times"
        said = f"{level} {one.get('code')}, {times}, {ago} ago: {one.get('message')}"
        yield graded("bad" if level == "error" else "warn", printable(said))


def _list(title: str, items: Iterable[str], empty: str) -> Iterator[str]:
    found = [f"<li>{item}" for item in items]
    yield f"<h2>{escape(title)}</h2>"
    yield f"<ul>{''.join(found)}</ul>" if found else f"<p>{escape(empty)}"


def _words(part: Words, status: Mapping[str, Any]) -> Iterator[str]:
    said = values.find(values.Row((), (status,)), part.path)
    if said:
        sentences = said if isinstance(said, list) else [said]
        yield from _list(part.title, (escape(values.text(one)) for one in sentences), "")


def _table(part: Table, status: Mapping[str, Any]) -> Iterator[str]:
    found = list(islice(values.rows(status, part.rows), MOST_ROWS + 1))
    if not found:
        yield f"<h2>{escape(part.title)}</h2><p>{escape(part.empty)}" if part.empty else ""
        return
    yield f"<table><caption><h2>{escape(part.title)}</h2></caption><thead><tr>"
    yield "".join(f"<th scope=col>{escape(column.title)}" for column in part.columns)
    yield "<tbody>"
    for row in found[:MOST_ROWS]:
        first, *others = (_cell(column, values.find(row, column.path)) for column in part.columns)
        yield f"<tr><th scope=row>{first}{''.join(f'<td>{other}' for other in others)}"
    yield "</table>"
    if len(found) > MOST_ROWS:
        yield f"<p>Only the first {MOST_ROWS} rows are shown; the JSON has all."


def _cell(column: Column, value: Any) -> str:
    text = values.shown(column, value)
    return graded(text, text) if column.kind == "state" and text != values.NOTHING else escape(text)


def _facts(title: str, facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"<details><summary>{escape(title)}</summary><table>"
    for name, value in _leaves("", facts):
        yield f"<tr><th scope=row>{escape(values.text(name))}<td>{escape(values.text(value))}"
    yield "</table></details>"


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each value that is not an object, with the names that lead to it; none that is empty."""
    if isinstance(value, Mapping):
        for inner, member in value.items():
            yield from _leaves(f"{name}.{inner}" if name else str(inner), member)
    elif value not in ("", None, []):
        yield name, values.listed(value) if isinstance(value, list) else value

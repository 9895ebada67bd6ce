"""A sidecar that is watched, as lines of a terminal: what its page shows, in the same order, by the same picture."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from sidecars.chassis.page import values
from sidecars.chassis.page.picture import Column, Table, Words
from sidecars.top.measures import cumulative
from sidecars.top.watched import Watched

STYLES = {"ok": "green", "warn": "yellow", "bad": "bold red", "": ""}
_MOST_ROWS = 300  # of a table
_MOST_LINES = 20  # of trouble, siblings and words
_BAR, _SPARK, _GAP = 10, 20, 2  # columns
_LARGEST = 1e18
_UNSHOWABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_BLOCKS = "▁▂▃▄▅▆▇█"
_NUMBERS = ("count", "rate", "bytes", "seconds", "share", "rate-share", "p50", "p99")


@dataclass
class _Cell:
    """A cell of one row: its value, the number that it shows, and the group in which shares add up."""

    value: Any
    number: float | None = None
    line: Sequence[float] = ()
    of: Any = ""


def drawn(one: Watched, width: int, *, live: bool) -> Iterator[RenderableType]:
    """Yield the parts of a sidecar, for lines of `width` columns.

    `live` shows rates; without it a rate is shown as its count.
    """
    status = one.status
    yield Rule(Text.assemble((_title(one), "bold"), (f"  {one.shown}", "dim")), align="left", style="dim")
    if one.failure:
        since = time.strftime("%H:%M:%S", time.localtime(one.since))
        yield _graded("bad", f"no answer since {since}: {one.failure}" if status else f"no answer: {one.failure}")
    if not status:
        return
    yield _graded(values.grade(status["state"]), _sentence(status))
    yield from _guarded(_troubles(status))
    for part in one.picture.parts:
        yield from _guarded(
            _words(part, status) if isinstance(part, Words) else _table(part, one, live=live, width=width)
        )
    yield from _guarded(_siblings(one))
    one.measures.end_round()


def _guarded(part: Iterator[RenderableType]) -> Iterator[RenderableType]:
    """Yield a part up to the first value that has another type than it should: only a hostile status has one."""
    try:
        yield from part
    except _UNSHOWABLE as error:
        yield Text(f"this cannot be shown ({type(error).__name__})", "dim")


def _title(one: Watched) -> str:
    named = one.status or {"name": one.label}
    return " ".join(values.text(named[each]) for each in ("name", "version") if named.get(each))


def _sentence(status: Mapping[str, Any]) -> str:
    """Return the first sentence: the state, for how long, and why."""
    return f"{values.text(status['state'])}{_since(status)}{_why(status.get('reasons'))}"


def _since(value: Mapping[str, Any]) -> str:
    age = _number(value.get("since_seconds"))
    return "" if age is None else f" for {values.duration(age)}"


def _why(reasons: Any) -> str:
    return ": " + "; ".join(map(values.text, reasons)) if isinstance(reasons, list) and reasons else ""


def _graded(grade: str, sentence: str) -> Text:
    return Text(f"{values.SYMBOLS[grade]} {sentence}", STYLES[grade])


def _heading(title: str) -> Text:
    return Text(f"\n{values.text(title)}", "bold")


def _troubles(status: Mapping[str, Any]) -> Iterator[Text]:
    trouble = status.get("trouble")
    for one in trouble[:_MOST_LINES] if isinstance(trouble, list) else ():
        if isinstance(one, dict):
            said = {name: values.text(one.get(name)) for name in ("level", "code", "count", "message")}
            ago = values.duration(_number(one.get("age_seconds")) or 0.0)
            times = "1 time" if said["count"] == "1" else f"{said['count']} times"
            sentence = f"{said['level']} {said['code']}, {times}, {ago} ago: {said['message']}"
            yield _graded("bad" if one.get("level") == "error" else "warn", sentence)


def _siblings(one: Watched) -> Iterator[Text]:
    if one.siblings:
        yield _heading("Siblings")
    for sibling in one.siblings[:_MOST_LINES]:
        name, state = values.text(sibling.get("name")), values.text(sibling.get("state"))
        port = _number(sibling.get("port")) or 0
        said = f"{name} :{port:.0f}  {state}{_since(sibling)}{_why(sibling.get('reasons'))}"
        yield _graded("" if state == "not here" else values.grade(state), said)


def _words(part: Words, status: Mapping[str, Any]) -> Iterator[Text]:
    said = values.find(values.Row((), (status,)), part.path)
    sentences = said if isinstance(said, list) else [said] if said else []
    if sentences:
        yield _heading(part.title)
    for sentence in sentences[:_MOST_LINES]:
        yield Text(values.text(sentence))


# -- tables -----------------------------------------------------------------------------------------------------------


def _table(part: Table, one: Watched, *, live: bool, width: int) -> Iterator[RenderableType]:
    found = list(islice(values.rows(one.status, part.rows), _MOST_ROWS + 1))
    if found or part.empty:
        yield _heading(part.title)
    if not found and part.empty:
        yield Text(values.text(part.empty), "dim")
    if not found:
        return
    cells = [_cells(part, one, row, live=live) for row in found[:_MOST_ROWS]]
    columns = [list(column) for column in zip(*cells, strict=True)]
    texts = [
        [
            _drawn_cell(column, cell, columns[at], live=live)
            for at, (column, cell) in enumerate(zip(part.columns, row, strict=True))
        ]
        for row in cells
    ]
    titles = [values.text(column.title) for column in part.columns]
    widths = [max(len(title), *(row[at].cell_len for row in texts)) + _GAP for at, title in enumerate(titles)]
    yield from (_grid(part, titles, texts, widths) if sum(widths) <= width else _cards(titles, texts, width - _GAP))
    if len(found) > _MOST_ROWS:
        yield Text(f"Only the first {_MOST_ROWS} rows are shown; the JSON has all.", "dim")


def _grid(
    part: Table, titles: Sequence[str], rows: Sequence[Sequence[Text]], widths: Sequence[int]
) -> Iterator[RenderableType]:
    """Yield the head and the rows as lines. The widths include the gap behind each column."""
    for row in ([Text(title, "dim") for title in titles], *rows):
        line = Text(no_wrap=True)
        for column, cell, width in zip(part.columns, row, widths, strict=True):
            blanks = " " * (width - _GAP - cell.cell_len)
            before, after = (blanks, "") if column.kind in _NUMBERS else ("", blanks)
            line.append(before).append_text(cell).append(after + " " * _GAP)
        yield line


def _cards(titles: Sequence[str], rows: Sequence[Sequence[Text]], width: int) -> Iterator[RenderableType]:
    """Yield rows that are too wide as paragraphs: the first cell, and below it each title beside its value."""
    for first, *others in rows:
        yield Text.assemble((first.plain, "bold"))
        narrow = [Text(" ".join(cell.plain.split()), cell.style) for cell in others]
        pairs = [
            Text.assemble((f"{title} ", "dim"), cell)
            for title, cell in zip(titles[1:], narrow, strict=True)
            if cell.plain not in ("", values.NOTHING)
        ]
        yield from (Padding(line, (0, 0, 0, _GAP)) for line in _filled(pairs, width))


def _filled(pairs: Sequence[Text], width: int) -> Iterator[Text]:
    """Yield lines of whole pairs; only a pair that is wider than a line is wrapped."""
    line = Text()
    for pair in pairs:
        if line and line.cell_len + 3 + pair.cell_len > width:
            yield line
            line = Text()
        line = Text.assemble(line, "   ", pair) if line else pair
    if line:
        yield line


def _cells(part: Table, one: Watched, row: values.Row, *, live: bool) -> list[_Cell]:
    identity: Hashable = (part.title, *row.keys, str(values.find(row, part.key)) if part.key else "")
    return [_cell(column, one, row, (identity, column.title), live=live) for column in part.columns]


def _cell(column: Column, one: Watched, row: values.Row, key: Hashable, *, live: bool) -> _Cell:
    value = values.find(row, column.path)
    cell = _Cell(value, _number(value), of=str(values.find(row, column.of)) if column.of else "")
    if column.kind == "bar" and column.of:
        cell.of = _number(values.find(row, column.of))
    if column.kind == "spark":
        cell.line = [float(each) for each in value if _number(each) is not None] if isinstance(value, list) else []
    uptime = _number(one.status.get("uptime_seconds"))
    if live and uptime is not None and value not in (None, ""):
        kept = one.measures.cell(key)
        if column.kind.startswith(("p50", "p99")):
            cell.number = kept.quantile(uptime, cumulative(value), int(column.kind[1:3]) / 100)
            cell.line = list(kept.line)
        elif column.kind.startswith("rate"):
            cell.number = kept.rate(uptime, cell.number) if cell.number is not None else None
            cell.line = list(kept.line)
    return cell


def _number(value: Any) -> float | None:
    """Return a number that can be computed with: none that is very large, as a hostile status may have it."""
    return value if values.is_number(value) and abs(value) < _LARGEST else None


def _drawn_cell(column: Column, cell: _Cell, all_cells: Sequence[_Cell], *, live: bool) -> Text:
    try:
        return _text_of(column, cell, all_cells, live=live)
    except _UNSHOWABLE:  # the value has another type than its column
        return Text(values.text(cell.value))


def _text_of(column: Column, cell: _Cell, all_cells: Sequence[_Cell], *, live: bool) -> Text:
    kind, number = column.kind, cell.number
    if kind == "state":
        state = values.text(cell.value) if cell.value is not None else ""
        return _graded(values.grade(state), state) if state else Text(values.NOTHING)
    if kind in ("share", "rate-share"):
        total = sum(each.number or 0.0 for each in all_cells if each.of == cell.of)
        return Text(f"{100 * number / total:.0f} %" if total and number is not None else values.NOTHING)
    if kind == "bar":
        most = cell.of if column.of else max((each.number or 0.0 for each in all_cells), default=0.0)
        return Text(f"{_bar((number or 0.0) / most if most else 0.0)} {_shown(column, cell, live=live)}")
    if kind.endswith("spark"):
        line = sparkline(cell.line)
        return Text(line if kind == "spark" else f"{_shown(column, cell, live=live):>10}  {line}".rstrip())
    return Text(_shown(column, cell, live=live))


def _shown(column: Column, cell: _Cell, *, live: bool) -> str:
    """Return the text of a cell. A number too large for one is shown as a text."""
    is_measured = live and column.kind.startswith(("rate", "p50", "p99"))
    if not is_measured:
        is_odd = values.is_number(cell.value) and _number(cell.value) is None
        return "very large" if is_odd else values.shown(column, cell.value)
    if cell.number is None:
        return values.NOTHING
    return values.number(column, cell.number) + ("/s" if column.kind.startswith("rate") else "")


def sparkline(line: Sequence[float]) -> str:
    """Return the last values as blocks of eight heights; "" for none."""
    last = [value for value in line if _number(value) is not None][-_SPARK:]
    low, high = min(0.0, *last, 0.0), max(0.0, *last, 0.0)
    span = high - low
    return "".join(_BLOCKS[int((value - low) / span * 7) if span else 0] for value in last)


def _bar(part: float) -> str:
    filled = round(min(max(part, 0.0), 1.0) * _BAR)
    return "█" * filled + "░" * (_BAR - filled)

"""Checks for the framing of each container runtime: the events of a stream that is cut, and the account of bytes."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from sidecars.logshipper.transform.framing.line_framing import Events, Framing


def rows(events: Events) -> list[object]:
    """Return the events as rows of all their columns."""
    optional: list[Sequence[object] | None] = [events.counts, events.times, events.streams, events.attributes]
    columns = (column or [None] * len(events.bodies) for column in optional)
    return list(zip(events.bodies, events.offsets, events.sizes, *columns, strict=True))


def assert_cuts_change_nothing(framing: Framing, lines: list[str], data: st.DataObject) -> None:
    """Cut the lines at places that `data` draws, as chunks of a file are cut, and compare with the whole."""
    assert framing.boundary is not None
    whole = "".join(lines).encode()
    expected = rows(framing.events(whole, 0))
    got: list[object] = []
    position = 0
    for count in sorted(data.draw(st.sets(st.integers(1, len(lines)), max_size=5)) | {len(lines)}):
        seen = len("".join(lines[:count]).encode())
        if seen == position:
            continue
        end = seen if count == len(lines) else position + framing.boundary(whole[position:seen])
        if end > position:
            got += rows(framing.events(whole[position:end], position))
            position = end
    assert got == expected


def assert_every_byte_is_counted(framing: Framing, data: bytes, start: int) -> None:
    """Compare sizes and lines of the events with the data."""
    events = framing.events(data, start)
    assert sum(events.sizes) == len(data)
    assert events.lines == data.count(b"\n") + (not data.endswith(b"\n"))
    assert list(events.offsets) == sorted(set(events.offsets))

"""The viewers of the live tail, and the lines for them.

Every shipper reports the records that it has made (`observe`), whether anybody looks or not: that is one comparison for
each batch. If somebody looks, the loop's next turn encodes them in slices, as NDJSON, once for all viewers, and offers
the lines to each.

Nothing here waits, and nothing waits for it. The encoding has a share of the processor: lines beyond it are skipped for
each viewer, and so is an event that is longer than `LONGEST`. No event is kept for longer than that turn.

A line is that of the pipeline of its input: after REDACT, with all edits, before the filter of a sink. If an input has
several sinks, each of them makes the records of a chunk for itself. The first one counts: an event behind the last one
shown of its file is new. `MOST_FILES` such ends are remembered.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from sidecars.logshipper.live.tail_query import TailQuery
from sidecars.logshipper.live.viewer import Viewer
from sidecars.logshipper.live.work_share import CLOCKS, Clocks, WorkShare
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings import ndjson

MOST_VIEWERS = 4
LONGEST = 64 * 1024  # bytes of the text of an event
MOST_FILES = 1024  # files whose shown end is remembered
_SLICE = 64  # events that are encoded at once
_SLICE_SIZE = 64 * 1024  # bytes of their texts, or one event
_SHARE, _MOST = 0.01, 0.01  # of what is earned, and seconds at once, for the encoding


CallSoon = Callable[..., object]


class LiveTail:
    """The viewers of one process. The app owns it; shippers call `observe`, the tail's server everything else.

    `sinks`: the sinks of each input. `call_soon` calls a function in the next turn of the loop, from any thread.
    """

    def __init__(
        self,
        sinks: Mapping[str, Collection[str]],
        call_soon: CallSoon,
        clocks: Clocks = CLOCKS,
    ) -> None:
        self.inputs = tuple(sinks)
        self._shared_inputs = {name for name, takers in sinks.items() if len(takers) > 1}
        self._call_soon = call_soon
        self._clocks = clocks
        self._share = WorkShare(_SHARE, _MOST, clocks)
        self._viewers: list[Viewer] = []
        self._shown: OrderedDict[str, int] = OrderedDict()  # generation -> offset behind the last event that was shown

    # -- for the server --------------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """True if `MOST_VIEWERS` clients look."""
        return len(self._viewers) >= MOST_VIEWERS

    def begin_request(self) -> bool:
        """Begin the work on a request, which takes of the share, too. Return False if nothing is left of it."""
        return self._share.begin()

    def end_request(self) -> None:
        """Take the work on the request from the share."""
        self._share.goes_on()

    def join(self, query: TailQuery) -> Viewer:
        """Return a viewer that is offered all events from now on, until it is over or `leave` is called."""
        viewer = Viewer(query, self._clocks)
        self._viewers.append(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Forget the viewer. Further calls do nothing."""
        if viewer in self._viewers:
            self._viewers.remove(viewer)
        if not self._viewers:
            self._shown.clear()

    def close(self) -> None:
        """End all viewers: the process ends."""
        for viewer in self._viewers:
            viewer.end()

    # -- for the shippers ------------------------------------------------------------------------------------------

    def observe(self, made: Sequence[Records]) -> None:
        """Show the events of these records. Any thread may call it; it returns at once."""
        if self._viewers:
            self._call_soon(self.show, made)

    def show(self, made: Sequence[Records]) -> None:
        """Offer the events of these records to the viewers. Called in the thread of the loop."""
        for records in made:
            name = records.read_from.input
            viewers = [viewer for viewer in self._viewers if viewer.query.input in (None, name) and not viewer.is_over]
            if viewers and records.bodies:
                self._show(records, self._first_new(records, name), viewers)

    def _first_new(self, records: Records, name: str) -> int:
        """Return the index of the first event that no other sink has brought here, and remember the last one."""
        if name not in self._shared_inputs:
            return 0
        generation, end = records.chunk.generation, records.offsets[-1] + 1
        shown = self._shown.pop(generation, 0)
        self._shown[generation] = max(shown, end)
        while len(self._shown) > MOST_FILES:
            self._shown.popitem(last=False)
        return bisect_left(records.offsets, shown)

    def _show(self, records: Records, first: int, viewers: Sequence[Viewer]) -> None:
        goes_on = self._share.begin()
        for start, stop in _slices(records.bodies, first):
            ready = [viewer for viewer in viewers if viewer.has_room]
            if not (goes_on and ready):
                for viewer in viewers:
                    viewer.skip(len(records.bodies) - start)
                return
            if len(records.bodies[start]) > LONGEST:
                for viewer in viewers:
                    viewer.skip(stop - start)
                continue
            lines = _encoded(records, start, stop)
            self._share.goes_on()
            for viewer in viewers:
                viewer.offer(lines)
            goes_on = self._share.begin()  # the viewers have shares of their own


def _slices(bodies: Sequence[str], first: int) -> Iterator[tuple[int, int]]:
    """Yield the first event of each slice, and the one behind its last. A long event is a slice of its own."""
    start, size = first, 0
    for index in range(first, len(bodies)):
        length = len(bodies[index])
        if index > start and (index - start == _SLICE or size + length > _SLICE_SIZE):
            yield start, index
            start, size = index, 0
        size += length
    if start < len(bodies):
        yield start, len(bodies)


def _encoded(records: Records, start: int, stop: int) -> list[bytes]:
    """Return the lines of these events."""
    batch = Batch("", (records.select(range(start, stop)),))
    return [line + b"\n" for line in b"".join(ndjson.encode(batch)).split(b"\n")[:-1]]

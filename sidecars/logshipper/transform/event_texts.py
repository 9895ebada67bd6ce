"""The first steps of a pipeline: the bytes of a chunk become texts of events, which are filtered and redacted.

Modules that only some settings need are imported where they are used: see `pipeline_steps`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

import orjson

from sidecars.logshipper.model import utf16_cutting
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.ledger import FILTERED
from sidecars.logshipper.model.records import Dropped
from sidecars.logshipper.transform import pipeline_steps
from sidecars.logshipper.transform.framing import decoding
from sidecars.logshipper.transform.framing.decoding import DecodedFraming
from sidecars.logshipper.transform.framing.line_framing import Attributes, Events, Framing
from sidecars.logshipper.transform.parsing.formats import RECORD, parse_steps
from sidecars.logshipper.transform.pipeline_settings import PipelineSettings


class EventTexts:
    """Makes the texts of the events of one input. The base of its `Pipeline`. Has no state."""

    def __init__(self, settings: PipelineSettings) -> None:
        self._steps = steps = parse_steps(settings.format)
        self._are_records = settings.format == RECORD
        self._is_json = steps.body == "json" or self._are_records
        self._framing = pipeline_steps.create_framing(settings, steps)
        self._framings: dict[str, DecodedFraming] = {}  # by encoding, but for UTF-8
        self.encoding = "utf-8" if settings.encoding == "utf-8" else decoding.codec(settings.encoding)
        if self.encoding != "utf-8":
            encodings = utf16_cutting.ENCODINGS if self.encoding == utf16_cutting.AUTO else (self.encoding,)
            self._framings = {encoding: DecodedFraming(self._framing, encoding) for encoding in encodings}
        self.boundaries = {encoding: framing.boundary for encoding, framing in self._framings.items()}
        boundary = self._framing.boundary  # see `Framing`: chunks are cut there
        self.boundary = self.boundaries.get(self.encoding, boundary)
        self._keep = pipeline_steps.create_finder(settings.keep)
        self._drop = pipeline_steps.create_finder(settings.drop)
        self._redactor = pipeline_steps.create_redactor(settings.redact)

    def may_cut(self, chunk: Chunk, length: int) -> bool:
        """Return True if the chunk may be cut before the event at `length` bytes: no earlier event goes on there."""
        if not self._steps.container:
            return True
        framing, end = self._framing_of(chunk), chunk.start + length
        events, first = framing.events(chunk.data, chunk.start), framing.events(chunk.data[:length], chunk.start)
        count = bisect_left(events.offsets, end)
        return list(first.sizes) == list(events.sizes[:count]) and first.bodies == events.bodies[:count]

    def _events(self, chunk: Chunk) -> Events:
        """Return all events of the chunk. A byte order mark at the beginning of the file is in the first one's size.

        A piece without text is no event: a file may end behind its mark, or with half of a line's end.
        """
        events = self._framing_of(chunk).events(chunk.data, chunk.start)
        if chunk.start == 0 and events.bodies and events.bodies[0].startswith(decoding.BOM):
            events.bodies[0] = events.bodies[0].removeprefix(decoding.BOM)
        if chunk.partial and chunk.lines == 1 and not any(events.bodies):
            return events.select([False] * len(events.bodies))
        return events

    def _framing_of(self, chunk: Chunk) -> Framing:
        return self._framings.get(chunk.encoding, self._framing)

    def _filtered(self, events: Events, continued: Events) -> tuple[Events, Dropped]:
        """Return those of the events that are kept, as they are in `continued`."""
        if self._keep is None and self._drop is None:
            return continued, {}
        wanted = [self._keep is None] * len(events.bodies)
        for index in self._keep.matching(events.bodies) if self._keep else ():
            wanted[index] = True
        for index in self._drop.matching(events.bodies) if self._drop else ():
            wanted[index] = False
        if all(wanted):
            return continued, {}
        kept = continued.select(wanted)
        size, count = sum(events.sizes) - sum(kept.sizes), events.lines - kept.lines
        return kept, {FILTERED: (size, count)}

    def _continued(self, chunk: Chunk, events: Events) -> Events:
        """Return the events without the rest of secrets that began before them: in the line, or as a key of lines."""
        if self._redactor is None or not events.bodies:
            return events
        from sidecars.logshipper.transform.redaction import pem_keys  # noqa: PLC0415 - see above

        whole, line = decoding.split_last_line(chunk.before, chunk.encoding)
        bodies, key = events.bodies, pem_keys.NAMED.encode(chunk.encoding)
        if self._redactor.has_keys and (key in chunk.data or key in chunk.before + chunk.data[: len(key)]):
            open_keys: dict[str, int] = {}
            if whole:
                earlier = self._framing_of(chunk).events(whole, 0)
                self._without_keys(earlier.bodies, earlier.streams, open_keys)
            bodies = self._without_keys([line + bodies[0], *bodies[1:]], events.streams, open_keys)
            bodies[0] = bodies[0].removeprefix(line)
        if line:
            bodies = [self._redactor.redact_rest(line, bodies[0]), *bodies[1:]]
        return events if bodies is events.bodies or bodies == events.bodies else replace(events, bodies=bodies)

    def _without_keys(self, bodies: list[str], streams: Sequence[str] | None, open_keys: dict[str, int]) -> list[str]:
        """Return the texts without the lines of keys."""
        from sidecars.logshipper.transform.redaction import pem_keys  # noqa: PLC0415 - see above

        if self._is_json:
            return pem_keys.redact_json(bodies, open_keys)
        return pem_keys.redact(bodies, streams, open_keys)

    def _redacted(self, bodies: list[str]) -> list[str]:
        if self._redactor is None:
            return bodies
        return self._redactor.redact_json(bodies) if self._is_json else self._redactor.redact_texts(bodies)

    def _redacted_attributes(self, attributes: Attributes) -> Attributes:
        """Return the attributes of Docker's entries, which may have variables of the container."""
        if self._redactor is None or attributes is None:
            return attributes
        texts = self._redactor.redact_json([orjson.dumps(one).decode() for one in attributes])
        return [orjson.loads(text) for text in texts]

"""Targets of what the logshipper has written itself, and reads again: its state, and records that are sent again."""

from __future__ import annotations

import contextlib
from io import BytesIO

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.chunk import Chunk
from sidecars.logshipper.model.fingerprint import position_fingerprint
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.state import checkpoint
from sidecars.logshipper.transform.framing.line_framing import LineFraming
from sidecars.logshipper.transform.parsing import own_records
from tests.fuzz.registry import target


@target("logshipper.transform.parsing.own_records", reach=85)
def replayed_records(data: bytes) -> None:
    """A line of FORMAT=record is sent under an id that its text has, or is an event of the file."""
    chunk = Chunk("beef", "/dead/a.ndjson", 0, 0, data, position_fingerprint(len(data), data))
    events = LineFraming().events(data, 0)
    made = list(own_records.split(Records(chunk, {}, events.bodies, events.offsets, events.sizes)))
    batch = Batch("default", tuple(made))
    assert (batch.events, batch.size) == (len(events.bodies), sum(events.sizes))
    written = b"".join(ndjson.encode(batch)).splitlines()
    for line, ident, record in zip(events.bodies, batch.ids(), written, strict=True):
        assert ident in line or ident.startswith("beef-") or "\\u" in line
        again = own_records.parse(record.decode())
        assert again is None or f"{again.generation}-{again.offset}" == ident.partition("+")[0]


@target("logshipper.state.checkpoint", "logshipper.state.sent_batches", reach=75)
def state_snapshot_and_journal(data: bytes) -> None:
    """A snapshot is refused with ValueError, or is written again the same; a journal changes it only as it says.

    The checksum protects against torn files, not against a neighbour, so the input gets the right one.
    """
    head, _, rest = data.partition(b"\n")
    body, _, journal = rest.partition(b"\n")
    sealed = b'{"version":%d,"journal":%d,"checksum":"%b"}\n%b\n' % (
        checkpoint.VERSION,
        len(head),
        checkpoint._checksum(body).encode(),
        body,
    )
    state = checkpoint.State()
    for snapshot in (data, sealed):
        with contextlib.suppress(ValueError):
            state = checkpoint.load(snapshot)
    lines = b"".join(b"%b %b\n" % (checkpoint._checksum(line).encode(), line) for line in journal.split(b"\n"))
    with contextlib.suppress(ValueError):
        for entry in checkpoint.journal_entries(BytesIO(lines)):
            checkpoint.apply(state, entry)
    for sink in state.sinks.values():
        assert not any(one.partial and one.open for batch in sink.sending for one in batch.ranges)
    written = checkpoint.dump(state, 1)
    read = checkpoint.load(written)
    assert checkpoint.dump(read, 1) == written
    for name, file in state.files.items():
        assert file.is_recognisable == read.files[name].is_recognisable

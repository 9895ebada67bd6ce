"""Times that an app may write and a receiver's form may lack: no line of an app ends the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.encodings import forward_entries, loki_push, ndjson, otlp_logs
from sidecars.logshipper.sinks.encodings.messages import gelf_messages, syslog_frames
from tests.logshipper.pipelines import AT, make_pipeline, records_of
from tests.logshipper.support import a_chunk

ENCODERS: dict[str, Callable[[Batch], Sequence[bytes]]] = {
    "forward": lambda batch: forward_entries.encode_entries(batch, AT),
    "gelf": lambda batch: gelf_messages.encode(batch, "host"),
    "loki": lambda batch: loki_push.encode_json(batch, AT),
    "loki protobuf": lambda batch: loki_push.encode_protobuf(batch, AT),
    "ndjson": ndjson.encode,
    "otlp": lambda batch: otlp_logs.encode(batch, {}, AT),
    "syslog": lambda batch: syslog_frames.encode_frames(batch, AT),
}


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("time", ["9999-12-31T23:59:59.999999999Z", "2555-01-01T00:00:00Z", "0001-01-01T00:00:00Z"])
def test_a_time_far_away_is_encoded(encode: Callable[[Batch], Sequence[bytes]], time: str) -> None:
    app = records_of(f'{{"time":"{time}","message":"far"}}\n', FORMAT="json", TIME_KEY="time")
    record = f'{{"id":"f00d-1","file":"/logs/a","time":"{time}","message":"far"}}\n'.encode()
    (replayed,) = make_pipeline(FORMAT="record").records(a_chunk(record))
    for records in (app, replayed):
        assert b"far" in b"".join(encode(Batch("default", (records,), AT)))

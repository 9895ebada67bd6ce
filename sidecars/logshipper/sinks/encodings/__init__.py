"""Encodings: the records of a batch in, blocks of bytes in the format of a receiver out. Pure.

    Batch ─► Records, in columns ─► one template for a block of events ─► blocks of bytes ─► compression

No encoding loops over events in Python: a template is repeated for a block of events and filled in at once, in C.

- `ndjson`: records as JSON lines, for `file`, `http`, `elasticsearch` and the dead letters. Read it first.
- `record_templates`: the blocks of events that one template can format, also in formats with lengths inside.
- `unique_timestamps`: a time for every event, for Loki.
- `loki_push`, `forward_entries`, `otlp_logs`, `syslog_frames`: one module for each sink's format.
- `protobuf`: the wire format of Protocol Buffers, for Loki and OTLP.
- `compression`: gzip, zstd and snappy.
"""

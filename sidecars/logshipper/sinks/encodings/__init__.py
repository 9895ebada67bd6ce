"""Encodings: the records of a batch in, blocks of bytes in the format of a receiver out. Pure.

    Batch ─► Records, in columns ─► one template for a block of events ─► blocks of bytes ─► compression

No encoding loops over events in Python: a template is repeated for a block of events and filled in at once, in C.

- `ndjson`: records as JSON lines, for `file`, `http`, `elasticsearch` and the dead letters. Read it first.
- `record_templates`: the blocks of events that one template can format, also in formats with lengths inside.
- `target_names`: the index, topic or key of each event by a template, cleaned and bounded.
- `seen_names`: the table of names that bounds them, the same after kill -9. `loki_streams`: labels from events by it.
- `unique_timestamps`: a time for every event, for Loki.
- `loki_push`, `forward_entries`, `otlp_logs`: one module for each sink's format. `messages`: the formats in which each
  event is a message of its own (Splunk, GELF, syslog).
- `protobuf`: the wire format of Protocol Buffers, for Loki and OTLP.
- `compression`: gzip, zstd and snappy.
"""

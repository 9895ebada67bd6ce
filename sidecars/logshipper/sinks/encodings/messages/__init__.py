"""Formats in which each event is a message of its own, of one after the other in a stream or a request.

    Batch ─► Records, in columns ─► one message for each event ─► frames, or requests of limited size

- `syslog_frames`: RFC 5424 after its length, for `syslog` and, split where it is long, for `relp`. Read it first.
- `splunk_events`: JSON objects of Splunk's event collector, in requests of 1 MiB.
- `gelf_messages`: GELF 1.1 for Graylog.
"""

"""Sinks that send each batch in one HTTP request.

    Batch ─► encodings: body ─► protocols.http_post ─► receiver ─► status and body ─► Outcome, or an exception

- `http`: NDJSON to any receiver. The simplest sink: read it first.
- `splunk`: the event collector, and its acknowledgements: `splunk_connection` has the connection and its channel,
  `splunk_replies` reads what the collector says.
- `poster`: makes the `HttpPoster` of a sink, with what SINK_AUTH needs.
- `gelf_http`: a request for each event.
- `loki`, `elasticsearch`, `otlp`: the formats of these receivers, and what each says about single events.
"""

"""Sinks: one module for each kind of destination. A batch goes in; the receiver's decision on it comes out.

                    encodings: records ─► bytes
                         ▲
    delivery ─► Sink.deliver(batch) ─► protocols: bytes ─► receiver ─► response ─► Outcome, or an exception
                 │
                 └─ stdout · file · http · loki · elasticsearch · otlp · forward · syslog

- `base`: the interface `Sink`, its `Outcome` and its three exceptions. Read it first, then `http`, the simplest sink.
- `factory`: makes the sink of a URL. `config.sink_registry` has the table of URL schemes: a new sink gets a row there.
- One module for each sink. Its docstring says when an event counts as accepted, and how a repeat is recognised.
- `numbered_rotation`: the rotated files of the sink `file`.
- `encodings`: the formats of requests. Pure.
- `protocols`: HTTP, credentials, connections, and the reading of responses. Where is a Loki refusal read? In
  `protocols.loki_refusal`. Where does an HTTP status become a decision? In `protocols.http_outcome`.
"""

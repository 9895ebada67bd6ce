"""Sinks: one module for each kind of destination. A batch goes in; the receiver's decision on it comes out.

                    encodings: records ─► bytes
                         ▲
    delivery ─► Sink.deliver(batch) ─► protocols: bytes ─► receiver ─► response ─► Outcome, or an exception
                 │
                 ├─ stdout · file · s3 · http · loki · elasticsearch · otlp · splunk · gelf
                 └─ forward · nats · relp · syslog

- `base`: the interface `Sink`, its `Outcome` and its three exceptions. Read it first, then `over_http.http`.
- `factory`: makes the sink of a URL. `config.sink_registry` has the table of URL schemes: a new sink gets a row there.
- `local`, `over_http`, `over_tcp`, `s3`: one module for each sink. Its docstring says when an event counts as accepted,
  and how a repeat is recognised.
- `identity`: proves who sends a request, where that is more than a header field of the settings.
- `encodings`: the formats of requests. Pure.
- `protocols`: HTTP, credentials, connections, and the reading of responses. Where is a Loki refusal read? In
  `protocols.loki_refusal`. Where does an HTTP status become a decision? In `protocols.http_outcome`.
- `kafka`: a client of Kafka's protocol of our own.
"""

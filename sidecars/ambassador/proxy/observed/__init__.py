"""Traces, request ids and fields of the access log. Loaded where TRACES, REQUEST_ID_HEADER or ACCESS_LOG_FIELDS is set.

    Exchange ── a new one ──▶ ExchangeObserver.begin ──▶ ExchangeNotes, its `notes`; the data in observation.Observation
       |  its events: `upstream_side.Notes`                 |
       |  each attempt: a span id of its own                v  at the end (ended.Ended)
       v                              ExchangeObserver.end ──┬──▶ exchange_spans ──▶ span_queue ──▶ trace_export
     the endpoint                                           |
                                                       ├──▶ exemplars of the histogram (upstream.counters)
                                                       └──▶ access_fields: the line of the access log

Pure: `trace_context` (W3C traceparent and tracestate), `ids`, `spans` (OTLP). Read `trace_context` and `observer`
first. Whether an exchange is exported is decided at its end: sampled, failed or slow. Nothing here waits.
"""

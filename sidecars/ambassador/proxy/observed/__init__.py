"""What is seen of exchanges, where TRACES, REQUEST_ID_HEADER or ACCESS_LOG_FIELDS asks for it. Loaded for these alone.

    a request ──▶ exchanges.ObservedExchange ──▶ observer.Observer.begin ──▶ observation.Observation, the notes
                   |  each attempt: a span id of its own, in its traceparent    |
                   v                                                            v  at the end (ended.Ended)
                  the endpoint          Observer.end ──┬──▶ exchange_spans ──▶ span_queue ──▶ trace_export
                                                       ├──▶ exemplars of the histogram (upstream.counters)
                                                       └──▶ access_fields: the line of the access log

Pure: `trace_context` (W3C traceparent and tracestate), `ids`, `spans` (OTLP). Read `trace_context` and `observer`
first. Whether an exchange is exported is decided at its end: sampled, failed or slow. Nothing here waits.
"""

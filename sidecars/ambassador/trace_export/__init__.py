"""Spans on their way to the collector, where TRACES=on asks for it. Loaded for that alone.

    proxy.observed.span_queue ──▶ exporter.SpanExporter ──POST, protobuf──▶ TRACES_ENDPOINT (OTLP over HTTP)
       (4 MiB; full: dropped         |  one request at a time              |
        and counted)                 ^── 429, 502, 503, 504, no answer ────┘  again, after Retry-After or a longer pause
                                     |── other statuses: refused, counted
    trace_metrics.TraceCollector ── counts

Read `exporter`. It has connections of its own: none of an upstream, no balancing, no retries of the app's budget.
"""

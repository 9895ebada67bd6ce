"""Negotiation of the format by the scraper's Accept header."""

from __future__ import annotations

import pytest

from sidecars.adapter.rendering.negotiation import negotiate_format

# The headers of Prometheus 2.42 and 3.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"


OPENMETRICS = "application/openmetrics-text"
TEXT = "text/plain"
CASES = {
    "": (TEXT, "0.0.4", ""),
    "*/*": (TEXT, "0.0.4", ""),
    "text/html,application/xhtml+xml;q=0.9": (TEXT, "0.0.4", ""),
    "text/*;q=0.5": (TEXT, "0.0.4", ""),
    PROMETHEUS_2: (OPENMETRICS, "1.0.0", "; escaping=underscores"),
    PROMETHEUS_3: (OPENMETRICS, "1.0.0", "; escaping=allow-utf-8"),
    PROTOBUF + PROMETHEUS_3: (OPENMETRICS, "1.0.0", "; escaping=allow-utf-8"),
    "application/openmetrics-text; version=0.0.1": (OPENMETRICS, "0.0.1", ""),
    "application/openmetrics-text;version=2.0.0": (TEXT, "0.0.4", ""),
    "application/openmetrics-text;q=0": (TEXT, "0.0.4", ""),
    "text/plain;version=1.0.0;escaping=dots": (TEXT, "1.0.0", "; escaping=dots"),
    "text/plain;version=1.0.0;escaping=evil\r\nX: y": (TEXT, "1.0.0", "; escaping=underscores"),
    "text/plain;q=0.1, Application/OpenMetrics-Text ; Q=0.9": (OPENMETRICS, "1.0.0", "; escaping=underscores"),
    "text/plain;q=high,,;;=": (TEXT, "0.0.4", ""),
}


@pytest.mark.parametrize("accept", CASES)
def test_the_best_format_that_is_asked_for(accept: str) -> None:
    media_type, version, escaping = CASES[accept]

    assert negotiate_format(accept).content_type == f"{media_type}; version={version}; charset=utf-8{escaping}"

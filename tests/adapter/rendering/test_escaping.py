"""Escaping schemes of UTF-8 names. The functions of prometheus-client are the oracle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.exposition import escape_label_name, escape_metric_name

from sidecars.adapter.rendering.escaping import EscapingScheme, escape_name, is_legacy_name, quote_name

names = st.text("aZ1_.:-é😀/ ", min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("scheme", "name"),
    [
        ("allow-utf-8", "http.requests_total"),
        ("underscores", "http_requests_total"),
        ("dots", "http_dot_requests__total"),
        ("values", "U__http_2e_requests__total"),
    ],
)
def test_a_dotted_name_in_each_scheme(scheme: EscapingScheme, name: str) -> None:
    assert escape_name("http.requests_total", scheme) == name


@pytest.mark.parametrize("scheme", ["underscores", "dots", "values"])
@given(names)
def test_any_name_is_escaped_as_prometheus_client_does_and_needs_no_quotes(scheme: EscapingScheme, name: str) -> None:
    assert escape_name(name, scheme) == escape_metric_name(name, scheme)
    if not name.startswith("__"):  # there it takes names that are reserved for names that are not valid
        assert escape_name(name, scheme, label=True) == escape_label_name(name, scheme)
    assert is_legacy_name(escape_name(name, scheme))
    assert is_legacy_name(escape_name(name, scheme, label=True), label=True)


@given(names)
def test_a_name_that_may_be_utf8_stays_and_is_quoted_where_it_must(name: str) -> None:
    assert escape_name(name, "allow-utf-8") == name
    assert (name if is_legacy_name(name) else quote_name(name)) == escape_metric_name(name, "allow-utf-8")

"""The dialect of a response, by setting, `Accept` and path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.setting_types import AUTO, DIALECT_NAMES
from sidecars.adapter.verdict.dialect_negotiation import choose_dialect
from sidecars.chassis.http.accept_header import media_ranges

SPRING = "application/vnd.spring-boot.actuator.v3+json"


@pytest.mark.parametrize(
    ("path", "accept", "expected"),
    [
        ("/health", "", "text"),
        ("/health", "*/*", "text"),
        ("/health", "text/html,application/xhtml+xml,*/*;q=0.8", "text"),
        ("/health", "application/json", "health+json"),
        ("/health", "application/json;q=0.5, text/plain", "text"),
        ("/health", "Application/Health+JSON", "health+json"),
        ("/health", f"{SPRING},application/json;q=0.9", "spring"),
        ("/health", "application/health+json;q=0", "text"),
        ("/actuator/health", "*/*", "spring"),
        ("/actuator/health/readiness", "application/json", "spring"),
        ("/app/actuator/health", "", "spring"),
        ("/health/live", "application/json", "microprofile"),
        ("/health/ready", "*/*", "microprofile"),
        ("/health/started", "", "microprofile"),
        ("/livez", "*/*", "kubernetes"),
        ("/readyz", "", "kubernetes"),
        ("/healthz", "application/json", "kubernetes"),
        ("/healthz", "application/health+json", "health+json"),
        ("/healthy", "", "text"),
    ],
)
def test_a_prober_that_says_nothing_is_known_by_its_path_and_one_that_does_gets_it(
    path: str, accept: str, expected: str
) -> None:
    assert choose_dialect(AUTO, path, accept) == expected


@pytest.mark.parametrize("form", DIALECT_NAMES)
def test_a_format_that_is_set_is_used_whatever_the_prober_says(form: str) -> None:
    assert choose_dialect(form, "/livez", "application/health+json") == form


def test_weights_are_read_as_http_says() -> None:
    found = media_ranges("a/b;q=0.5, c/d ; q=1.000;x=y, e/f;q=2, g/h;q=x, nonsense, I/J;Q=0")

    assert [(one.media_type, one.weight) for one in found] == [("a/b", 0.5), ("c/d", 1.0), ("i/j", 0.0)]


@given(st.text(max_size=300))
def test_any_header_gets_some_dialect(accept: str) -> None:
    assert choose_dialect(AUTO, "/health", accept) in DIALECT_NAMES

"""Targets of the adapter: pages and documents of the app, and its own rules."""

from __future__ import annotations

import contextlib

from sidecars.adapter.app_client.interpretation import (
    Interpretation,
    InterpretationOptions,
    UnusableResponse,
    interpret_response,
)
from sidecars.adapter.app_client.outcome import AppResponse
from sidecars.adapter.exposition.page_faults import MalformedPage
from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.health.json_path_selection import select_values
from sidecars.adapter.health.json_paths import format_json_paths, parse_json_paths
from sidecars.adapter.health.strict_json import NotAHealthDocument, parse_json
from sidecars.adapter.rendering.negotiation import ExpositionFormat, negotiate_format
from sidecars.adapter.rendering.render import render_metrics
from sidecars.adapter.rules.rule import parse_rules
from sidecars.adapter.rules.rule_evaluator import RuleEvaluator
from tests.fuzz.registry import target

_TEXT = "text/plain; version=0.0.4"
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"
_MOST = 100  # series
_PAGE = parse_page(
    b'up 1\nqueue{a="b"} 5\n# TYPE h histogram\nh_bucket{le="+Inf"} 2\nh_sum 1\nh_count 2\n', _TEXT, _MOST
)


@target("adapter.exposition.family_parser", "adapter.exposition.lexer", "adapter.exposition.family_checks", reach=75)
def metrics_page(data: bytes) -> None:
    """A page is refused with MalformedPage, or is written in both formats as pages that are read again."""
    content_type = _OPENMETRICS if data[:1] == b"o" else _TEXT
    try:
        page = parse_page(data[1:], content_type, _MOST)
    except MalformedPage:
        return
    for form, kind in (
        (ExpositionFormat(), _TEXT),
        (ExpositionFormat(openmetrics=True, version="1.0.0"), _OPENMETRICS),
    ):
        written = render_metrics([({"app": "a"}, page)], form)
        again = parse_page(written, kind, _MOST * 4)
        assert render_metrics([({}, again)], form) == written


@target("adapter.health.json_documents", "adapter.health.documents", "adapter.app_client.interpretation", reach=60)
def health_document(data: bytes) -> None:
    """An app's response is used or refused, and what is made of it is a page that can be read."""
    status = 503 if data[:1] == b"f" else 200
    kind = {b"j": "application/json", b"t": "text/plain"}.get(data[1:2], "")
    response = AppResponse(status, {"content-type": kind}, data[2:])
    found = interpret_response(response, InterpretationOptions(max_body=10_000, max_series=_MOST))
    if isinstance(found, Interpretation):
        if found.health:
            parse_page(found.exposition.page, _TEXT, 10 * _MOST + 10)
    else:
        assert isinstance(found, UnusableResponse)
        assert found.phrase.isprintable()


@target("adapter.health.kubernetes_lines", reach=80, longest=600)
def kubernetes_lines(data: bytes) -> None:
    """A text of checks is a health document, or is not understood; a failed line is never lost."""
    health_document(b"pt" + data)


@target("adapter.health.json_paths", "adapter.health.json_path_selection", reach=60)
def json_paths(data: bytes) -> None:
    """A path is refused with ValueError, or is shown as it was written; it selects numbers of any document."""
    text, _, document = data.partition(b"\n\n")
    try:
        paths = parse_json_paths(text.decode("utf-8", "replace"))
        assert parse_json_paths(format_json_paths(paths)) == paths
        select_values(paths, parse_json(document), max_values=_MOST)
    except (ValueError, NotAHealthDocument):
        pass


@target("adapter.rules.lexer", "adapter.rules.parser", "adapter.rules.rule", reach=75, longest=1000)
def rules(data: bytes) -> None:
    """Rules are refused with ValueError, or are evaluated; a rule without data never passes."""
    with contextlib.suppress(ValueError):
        parsed = parse_rules(data.decode("utf-8", "replace"))
        evaluator = RuleEvaluator(parsed)
        for now in (1000.0, 1060.0):
            results = evaluator.evaluate(_PAGE, now)
            assert len(results) == len(parsed)
            assert all(len(result.reason) <= 300 for result in results)


@target("adapter.rendering.negotiation", reach=75, longest=300)
def scrape_negotiation(data: bytes) -> None:
    """Any Accept header gets a format that is written."""
    assert negotiate_format(data.decode("latin-1")).version in ("0.0.4", "1.0.0", "0.0.1")

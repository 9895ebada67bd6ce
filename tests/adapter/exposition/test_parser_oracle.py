"""Any page, parsed here and by prometheus-client: the same samples, or a known reason why one of the two refuses it.

prometheus-client calls itself laxer than the specifications. If it takes a page that is refused here, the reason is one
of `LAX`, each beside the rule of the format. If it refuses a page that is taken here, the page has reported faults; or
prometheus-client finds mistakes in comments, which text ignores by its specification.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import pytest
from hypothesis import assume, event, given, reject
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Metric, Summary
from prometheus_client import generate_latest as generate_text
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.page_faults import MalformedPage
from sidecars.adapter.exposition.parser import parse_page
from tests.adapter.pages import OPENMETRICS, TEXT, Family, as_openmetrics, as_text, broken, openmetrics_pages, pages
from tests.adapter.parser_oracle import Samples, bare_name, client_samples, own_samples
from tests.support import examples

# Reasons to refuse a page that prometheus-client takes. Prometheus's "Exposition formats" (T) and OpenMetrics 1.0 (O):
LAX = (
    "the page ends within this line",  # T: the last line must end with a line feed
    "is not a number",  # T: Go's ParseFloat; Python's float() takes +nan and the digits of other scripts, too
    "expected a timestamp",  # T: int64, and nothing more; O: a number
    "with commas between them",  # T and O: the grammar of labels; prometheus-client skips the rest
    "expected a metric's name",  # T and O: the grammar of lines
    "there is no metric's name",
    "there must be a space before",
    "has no value",
    "exactly one space",  # O: ABNF
    "after # OpenMetrics has",  # O: ABNF
    "stands there twice",
)

ODD_COMMENT = re.compile(r'^[ \t]*#(?![ \t]*(?:HELP|TYPE)[ \t]).*(?:"|HELP|TYPE)', re.MULTILINE)

Parser = Callable[[str], Iterable[Metric]]
OPENMETRICS_CLIENT: Parser = openmetrics_families
WRITE_OPENMETRICS: Callable[[CollectorRegistry, str], bytes] = generate_openmetrics


@given(pages())
def test_any_page_of_text_is_read_alike(page: list[Family]) -> None:
    source = as_text(page)

    assert own_samples(parse_page(source, TEXT, 1000), text=True) == client_samples(
        text_families(source.decode()), text=True
    )


@given(openmetrics_pages())
def test_any_page_of_openmetrics_is_read_alike(page: list[Family]) -> None:
    source = as_openmetrics(page)

    assert own_samples(parse_page(source, OPENMETRICS, 1000), text=False) == client_samples(
        OPENMETRICS_CLIENT(source.decode()), text=False
    )


# -- real pages ---------------------------------------------------------------------------------------------------


def _registry() -> CollectorRegistry:
    """Return a registry with one metric of each type, as apps in Python have them."""
    registry = CollectorRegistry()
    Counter("requests", 'Requests "by" path.\n', ["path"], registry=registry).labels('/a"\\\n').inc(
        exemplar={"trace": "é"}
    )
    Gauge("depth", "", registry=registry).set(float("nan"))
    Histogram("seconds", "Time.", ["path"], registry=registry, unit="seconds").labels("/a").observe(0.3)
    Summary("sizes", "Sizes.", registry=registry, unit="bytes").observe(5)
    Info("build", "Build.", registry=registry).info({"version": "1"})
    Enum("state", "State.", states=["on", "off"], registry=registry).state("off")
    Gauge("a.dotted.gauge", "UTF-8.", ["the.label"], registry=registry).labels("é").set(1)
    return registry


@pytest.mark.parametrize("escaping", ["allow-utf-8", "underscores", "dots", "values"])
def test_what_prometheus_client_writes_as_text_is_read_alike(escaping: str) -> None:
    page = generate_text(_registry(), escaping)

    seen = own_samples(parse_page(page, TEXT, 1000), text=True)
    assert comparable(seen) == comparable(client_samples(text_families(page.decode()), text=True))


@pytest.mark.parametrize("escaping", ["allow-utf-8", "underscores"])  # in the other two it cannot read itself
def test_what_prometheus_client_writes_as_openmetrics_is_read_alike(escaping: str) -> None:
    page = WRITE_OPENMETRICS(_registry(), escaping)

    seen = own_samples(parse_page(page, OPENMETRICS, 1000), text=False)
    assert comparable(seen) == comparable(client_samples(OPENMETRICS_CLIENT(page.decode()), text=False))


def comparable(found: Samples) -> Samples:
    """Return the samples without `_created`, which differs from run to run."""
    return {key: value for key, value in found.items() if not key[0].endswith("_created")}


# -- broken pages -------------------------------------------------------------------------------------------------


def parsed(page: str, content_type: str) -> tuple[Exposition | None, str]:
    """Return the exposition, or None and the reason."""
    try:
        return parse_page(page.encode(), content_type, 1000), ""
    except MalformedPage as refused:
        return None, refused.fault.reason


def compare(page: str, content_type: str, client: Parser) -> None:
    text = content_type == TEXT
    theirs: Samples | None
    try:
        theirs = client_samples(client(page), text=text)
    except (ValueError, KeyError, IndexError):
        theirs = None
    except AttributeError:  # a defect of its own: it cannot compare timestamps that are written in two ways
        reject()
    exposition, reason = parsed(page, content_type)
    if exposition is None:
        event(f"refused here, {'refused' if theirs is None else 'taken'} there")
        assert theirs is None or any(known in reason for known in LAX), reason
        return
    reported = bool(exposition.faults or exposition.dropped)
    event(f"taken here, {'refused' if theirs is None else 'taken'} there, {'reported' if reported else 'not reported'}")
    assume(theirs is not None or not ODD_COMMENT.search(page))
    if theirs is None:
        assert reported
        return
    dropped = {bare_name(name, text=text) for name in exposition.unusable}
    assert own_samples(exposition, text=text) == {key: it for key, it in theirs.items() if key[0] not in dropped}


@examples(150)
@given(broken(pages(), as_text))
def test_a_broken_page_of_text_is_refused_for_a_known_reason_or_read_alike(page: str) -> None:
    compare(page, TEXT, text_families)


@examples(150)
@given(broken(openmetrics_pages(), as_openmetrics))
def test_a_broken_page_of_openmetrics_is_refused_for_a_known_reason_or_read_alike(page: str) -> None:
    compare(page, OPENMETRICS, OPENMETRICS_CLIENT)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_page_or_malformed_and_nothing_else(page: bytes) -> None:
    for kind, body in ((TEXT, page), (OPENMETRICS, page + b"\n# EOF\n")):
        try:
            parse_page(body, kind, 100)
        except MalformedPage as refused:
            assert refused.fault.reason  # noqa: PT017 - no reason is empty


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "openmetrics"])
def test_a_hostile_line_takes_no_longer_than_its_bytes(kind: str) -> None:
    """A backtracking expression would take hours for each of these. The test's own time limit is the assertion."""
    for piece in ('a="', 'a="\\', 'a="",', " ", "\t", "# ", "1", "{", '"', "\\\\", ",", "e+", "#"):
        many = ",".join(f'a{n}=""' for n in range(50_000))
        for line in (
            f"x{{{piece * 50_000}",
            f"x {piece * 50_000}",
            piece * 50_000,
            f"# HELP x {piece * 50_000}",
            f'x{{{many},a49999=""}} 1',
        ):
            try:
                if kind == "text":
                    parse_page(f"{line}\n".encode(), TEXT, 100)
                else:
                    parse_page(f"{line}\n# EOF\n".encode(), OPENMETRICS, 100)
            except MalformedPage as refused:
                assert len(refused.fault.reason) < 200  # noqa: PT017 - the reason is short for any line

"""Any page, read here and by prometheus-client: the same samples, and where one of the two refuses, it is known why.

prometheus-client calls itself laxer than the specifications. Where it takes what is refused here, the reason is one of
`LAX`, each beside the rule that is right. Where it refuses what is taken here, the page has faults that are told; or it
finds mistakes in comments, of which text says that they are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, event, given, reject, settings
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
from tests.adapter.prometheus import prometheus

# Why a page is refused that prometheus-client takes. Prometheus's "Exposition formats" (T) and OpenMetrics 1.0 (O):
LAX = (
    "the page ends within this line",  # T: the last line must end with a line feed
    "is not a number",  # T: Go's ParseFloat; Python's float() takes +nan and the digits of other scripts, too
    "expected a timestamp",  # T: int64, and nothing more; O: a number
    "with commas between them",  # T and O: the grammar of labels; prometheus-client skips what it does not understand
    "expected a metric's name",  # T and O: as above
    "there is no metric's name",
    "there must be a space before",
    "has no value",
    "exactly one space",  # O: ABNF
    "after # OpenMetrics has",  # O: ABNF
    "stands there twice",
)

ODD_COMMENT = re.compile(r'^[ \t]*#(?![ \t]*(?:HELP|TYPE)[ \t]).*(?:"|HELP|TYPE)', re.MULTILINE)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], tuple[str, float | None]]
Parser = Callable[[str], Iterable[Metric]]
OPENMETRICS_CLIENT: Parser = openmetrics_families
WRITE_OPENMETRICS: Callable[[CollectorRegistry, str], bytes] = generate_openmetrics


def here(exposition: Exposition, *, text: bool) -> Samples:
    """By name and labels: the value as text (NaN is equal to itself then) and the time to the microsecond."""
    return {
        (_name(one.name, text=text), one.labels): (repr(one.value), _time(one.timestamp))
        for name in exposition.metric_names()
        for one in exposition.select(name)
    }


def there(families: Iterable[Metric], *, text: bool) -> Samples:
    """Of several points in time the last one; an empty label is none."""
    return {
        (_name(one.name, text=text), tuple(sorted(label for label in one.labels.items() if label[1]))): (
            repr(float(one.value)),
            _time(one.timestamp),
        )
        for family in families
        for one in family.samples
    }


def _name(name: str, *, text: bool) -> str:
    """prometheus-client renames text's counters, so that all end in _total."""
    return name.removesuffix("_total") if text else name


def _time(timestamp: object) -> float | None:
    return None if timestamp is None else round(float(timestamp), 6)  # type: ignore[arg-type] # prometheus-client's own type


@given(pages())
def test_any_page_of_text_is_read_alike(page: list[Family]) -> None:
    source = as_text(page)

    assert here(parse_page(source, TEXT, 1000), text=True) == there(text_families(source.decode()), text=True)


@given(openmetrics_pages())
def test_any_page_of_openmetrics_is_read_alike(page: list[Family]) -> None:
    source = as_openmetrics(page)

    assert here(parse_page(source, OPENMETRICS, 1000), text=False) == there(
        OPENMETRICS_CLIENT(source.decode()), text=False
    )


# -- real pages ---------------------------------------------------------------------------------------------------


def _registry() -> CollectorRegistry:
    """One of each type, as apps in Python have them."""
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

    seen = here(parse_page(page, TEXT, 1000), text=True)
    assert comparable(seen) == comparable(there(text_families(page.decode()), text=True))


@pytest.mark.parametrize("escaping", ["allow-utf-8", "underscores"])  # in the other two it cannot read itself
def test_what_prometheus_client_writes_as_openmetrics_is_read_alike(escaping: str) -> None:
    page = WRITE_OPENMETRICS(_registry(), escaping)

    seen = here(parse_page(page, OPENMETRICS, 1000), text=False)
    assert comparable(seen) == comparable(there(OPENMETRICS_CLIENT(page.decode()), text=False))


def comparable(found: Samples) -> Samples:
    """Without the moments at which the registry came into being."""
    return {key: value for key, value in found.items() if not key[0].endswith("_created")}


def test_what_a_real_program_in_go_writes_is_read_alike(tmp_path: Path) -> None:
    with prometheus(tmp_path, {1_700_000_000.0: [("up", 1.0)]}) as server:
        answer = server.client.get("/metrics")

    seen = here(parse_page(answer.content, answer.headers["Content-Type"], 1000), text=True)
    assert len(seen) > 200
    assert seen == there(text_families(answer.text), text=True)


# -- broken pages -------------------------------------------------------------------------------------------------


def parsed(page: str, content_type: str) -> tuple[Exposition | None, str]:
    """The exposition, or why there is none."""
    try:
        return parse_page(page.encode(), content_type, 1000), ""
    except MalformedPage as refused:
        return None, refused.fault.reason


def compare(page: str, content_type: str, client: Parser) -> None:
    text = content_type == TEXT
    theirs: Samples | None
    try:
        theirs = there(client(page), text=text)
    except (ValueError, KeyError, IndexError):
        theirs = None
    except AttributeError:  # a defect of its own: it cannot compare timestamps that are written in two ways
        reject()
    exposition, why = parsed(page, content_type)
    if exposition is None:
        event(f"refused here, {'refused' if theirs is None else 'taken'} there")
        assert theirs is None or any(known in why for known in LAX), why
        return
    told = bool(exposition.faults or exposition.dropped)
    event(f"taken here, {'refused' if theirs is None else 'taken'} there, {'told' if told else 'not told'}")
    assume(theirs is not None or not ODD_COMMENT.search(page))
    if theirs is None:
        assert told
        return
    dropped = {_name(name, text=text) for name in exposition.unusable}
    assert here(exposition, text=text) == {key: it for key, it in theirs.items() if key[0] not in dropped}


SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(broken(pages(), as_text))
def test_a_broken_page_of_text_is_refused_for_a_known_reason_or_read_alike(page: str) -> None:
    compare(page, TEXT, text_families)


@SETTINGS
@given(broken(openmetrics_pages(), as_openmetrics))
def test_a_broken_page_of_openmetrics_is_refused_for_a_known_reason_or_read_alike(page: str) -> None:
    compare(page, OPENMETRICS, OPENMETRICS_CLIENT)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_page_or_malformed_and_nothing_else(page: bytes) -> None:
    for kind, body in ((TEXT, page), (OPENMETRICS, page + b"\n# EOF\n")):
        try:
            parse_page(body, kind, 100)
        except MalformedPage as refused:
            assert refused.fault.reason  # noqa: PT017 - every reason says something


@pytest.mark.parametrize("kind", ["text", "openmetrics"])
def test_a_hostile_line_takes_no_longer_than_its_bytes(kind: str) -> None:
    """Each of these keeps a backtracking expression busy for ages; the test's own time limit is the assertion."""
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
                assert len(refused.fault.reason) < 200  # noqa: PT017 - a short reason whatever the line is

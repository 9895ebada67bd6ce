"""Any page, read here and by prometheus-client: the same samples, and where one of the two refuses, it is known why.

prometheus-client calls itself laxer than the specifications. Where it takes what is refused here, the reason is one of
`LAX`, each beside the rule that is right. The other way round there is one thing only: it finds mistakes in comments,
of which text says that they are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Metric, Summary
from prometheus_client import generate_latest as generate_text
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from sidecars.adapter.exposition import Exposition, Malformed, parse
from tests.adapter.pages import OPENMETRICS, TEXT, Family, as_openmetrics, as_text, openmetrics_pages, pages
from tests.adapter.prometheus import prometheus

# Prometheus's "Exposition formats" (T) and OpenMetrics 1.0 (O):
LAX = (
    "the page ends within this line",  # T: the last line must end with a line feed
    "must stand together",  # T: all lines for a given metric as one single group; O: families are not interleaved
    "must stand before its samples",  # T: HELP and TYPE first
    "belongs to another metric already",  # T and O: as above, of the samples of a histogram or summary
    "has come before",  # T: each line has a unique combination of name and labels; O: unique label sets
    "there is a second",  # T: only one HELP line and one TYPE line may exist for a name
    "is none of",  # T and O: the types are listed
    "its samples are",  # T: the names of the samples of a histogram and a summary
    "has no label",  # T: each bucket has le, each quantile has quantile
    "must increase from line to line",  # T: le and quantile must appear in increasing numerical order
    'has no bucket with le="+Inf"',  # T: a histogram must have it
    'but its bucket with le="+Inf" is',  # T: it must be identical to the count
    "is not a number",  # T: Go's ParseFloat; Python's float() takes +nan and the digits of other scripts, too
    "too large for 64 bits",  # T: int64; O: floating point numbers must fit within 64 bits
    "expected a timestamp",  # T: int64, and nothing more; O: a number
    "that is not escaped",  # T: a backslash in HELP, O: a backslash or a quote
    "a wrong escape",  # T: in a label's value, there are three escapes
    "with commas between them",  # T and O: the grammar of labels; prometheus-client skips what it does not understand
    "expected a metric's name",  # T and O: likewise
    "there is no metric's name",
    "there must be a space before",
    "has no value",
    "exactly one space",  # O: ABNF
    "after # OpenMetrics has",  # O: ABNF
    "is above its bucket's bound",  # O: the value of the exemplar must be within the bucket
    "_total is missing",  # O: a counter's point must have one value called Total
    "must have both",  # O: count if and only if sum
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
        for name in exposition.names()
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

    assert here(parse(source, TEXT, 1000), text=True) == there(text_families(source.decode()), text=True)


@given(openmetrics_pages())
def test_any_page_of_openmetrics_is_read_alike(page: list[Family]) -> None:
    source = as_openmetrics(page)

    assert here(parse(source, OPENMETRICS, 1000), text=False) == there(OPENMETRICS_CLIENT(source.decode()), text=False)


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

    seen = here(parse(page, TEXT, 1000), text=True)
    assert comparable(seen) == comparable(there(text_families(page.decode()), text=True))


@pytest.mark.parametrize("escaping", ["allow-utf-8", "underscores"])  # in the other two it cannot read itself
def test_what_prometheus_client_writes_as_openmetrics_is_read_alike(escaping: str) -> None:
    page = WRITE_OPENMETRICS(_registry(), escaping)

    seen = here(parse(page, OPENMETRICS, 1000), text=False)
    assert comparable(seen) == comparable(there(OPENMETRICS_CLIENT(page.decode()), text=False))


def comparable(found: Samples) -> Samples:
    """Without the moments at which the registry came into being."""
    return {key: value for key, value in found.items() if not key[0].endswith("_created")}


def test_what_a_real_program_in_go_writes_is_read_alike(tmp_path: Path) -> None:
    with prometheus(tmp_path, {1_700_000_000.0: [("up", 1.0)]}) as server:
        answer = server.client.get("/metrics")

    seen = here(parse(answer.content, answer.headers["Content-Type"], 1000), text=True)
    assert len(seen) > 200
    assert seen == there(text_families(answer.text), text=True)


# -- broken pages -------------------------------------------------------------------------------------------------

PIECES = [
    *'"\\{},= \n\t#1-_.eé:',
    *("NaN", "+Inf", "0x1", "1_0", 'le="1"', 'quantile="2"', '__name__="x"', 'a="', '"up"', " # {} 1"),
    *("# HELP up x\n", "# TYPE up gauge\n", "# UNIT up up\n", "# EOF\n", "_total", "_count"),
]  # fmt: skip


@st.composite
def broken(draw: st.DrawFn, whole: st.SearchStrategy[list[Family]], write: Callable[[list[Family]], bytes]) -> str:
    """A page, and a few accidents: something put in, something cut out, lines moved or doubled."""
    text = write(draw(whole)).decode()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        lines = re.findall(r"[^\n]*\n|[^\n]+", text)
        match draw(st.sampled_from(["insert", "cut", "double", "move"])):
            case "insert":
                text = text[:at] + draw(st.sampled_from(PIECES)) + text[at:]
            case "cut":
                text = text[:at] + text[at + draw(st.integers(1, 4)) :]
            case accident if lines:
                one = draw(st.integers(0, len(lines) - 1))
                line = lines[one] if accident == "double" else lines.pop(one)
                lines.insert(draw(st.integers(0, len(lines))), line)
                text = "".join(lines)
    return text


def compare(page: str, content_type: str, client: Parser) -> None:
    text = content_type == TEXT
    theirs: Samples | None
    try:
        theirs = there(client(page), text=text)
    except (ValueError, KeyError, IndexError):
        theirs = None
    try:
        ours: Samples | None = here(parse(page.encode(), content_type, 1000), text=text)
        why = ""
    except Malformed as refused:
        ours, why = None, refused.why
    event(f"{'refused' if ours is None else 'taken'} here, {'refused' if theirs is None else 'taken'} there")
    assume(ours is None or theirs is not None or not ODD_COMMENT.search(page))
    assert ours == theirs or any(known in why for known in LAX), why


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
            parse(body, kind, 100)
        except Malformed as refused:
            assert refused.why  # noqa: PT017 - every reason says something


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
                    parse(f"{line}\n".encode(), TEXT, 100)
                else:
                    parse(f"{line}\n# EOF\n".encode(), OPENMETRICS, 100)
            except Malformed as refused:
                assert len(refused.why) < 200  # noqa: PT017 - a short reason whatever the line is

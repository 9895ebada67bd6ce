"""The same expressions over the same samples, in a real Prometheus (Debian's 2.42) and here.

`test_rule_evaluator` tests the deliberate differences: rules without data, NaN in a rule, series that are gone, and the
functions `stale` and `age`, which Prometheus does not have.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st

from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.rules.ast import find_selectors
from sidecars.adapter.rules.expression_evaluator import ExpressionEvaluator, Histories, NoData, selector_key
from sidecars.adapter.rules.lexer import BadRule
from sidecars.adapter.rules.parser import parse_expression
from sidecars.adapter.rules.series_history import SelectorHistory
from sidecars.adapter.rules.vector_operations import MatchingError
from tests.adapter.prometheus import Page, Prometheus, prometheus
from tests.support import examples

BEGIN = 1_700_000_000.0
STEPS = (0, 5, 7.5, 10, 10, 3, 11, 10, 10, 10, 1, 10, 19)  # seconds from one scrape to the next
TIMES = tuple(BEGIN + sum(STEPS[: i + 1]) for i in range(len(STEPS)))
NOW = TIMES[-1]
RANGES = ("10s", "30s", "1m", "1m37s", "5m")


WEATHER = (-5, 0, 21.5, 1e300, math.nan, math.inf, -math.inf)


def _scrapes() -> dict[float, Page]:
    """Return counters with resets, gauges with every kind of float, and series that appear late."""
    chance = random.Random(6)
    counters = {
        f'requests_total{{method="{method}",code="{code}"}}': 0.0
        for method in ("get", "post")
        for code in ("200", "404", "500")
    }
    scrapes: dict[float, Page] = {}
    for number, time in enumerate(TIMES):
        page: list[tuple[str, float]] = []
        counters = {
            series: 0.0 if chance.random() < 0.15 else value + chance.choice([0, 1, 2.5, 70])
            for series, value in counters.items()
        }
        page.extend(counters.items())
        for pool, limit in (("a", 10), ("b", 0), ("c", math.inf), ("d", math.nan)):
            page.append((f'used{{pool="{pool}"}}', chance.choice([0, 1, 5.5, 9, 10])))
            page.append((f'limit{{pool="{pool}"}}', limit))
        page.append(('used{pool="alone"}', 3))
        page.extend((f'temperature{{room="{room}"}}', chance.choice(WEATHER)) for room in ("n", "e", "s", "w"))
        page.append(("lonely", number))
        page.append(("flat_total", 4))
        page.append(("seen_timestamp_seconds", time - 4))
        if number >= len(TIMES) - 2:
            page.append(('late_total{n="1"}', number * 3))
        if number == len(TIMES) - 1:
            page.append(('late_total{n="2"}', 3))
        scrapes[time] = page
    return scrapes


SCRAPES = _scrapes()


def _exposition(page: Page) -> Exposition:
    lines = sorted(f"{series} {value!r}\n" for series, value in page)
    return parse_page("".join(lines).encode(), "", 1000)


EXPOSITIONS = {time: _exposition(page) for time, page in SCRAPES.items()}

Result = list[tuple[dict[str, str], float]] | float | str


def here(expression: str) -> Result:
    """Evaluate the expression here. Return "refused" if it is invalid, or has no one-to-one match."""
    try:
        node = parse_expression(expression)
    except BadRule as error:
        assume("is for series on both sides" not in error.reason)  # Prometheus lets `on ()` stand anywhere
        return "refused"
    histories: Histories = {}
    for selector in find_selectors(node):
        if selector.range is not None:
            histories[selector_key(selector), selector.range] = selector, SelectorHistory(selector.range)
    for time, page in EXPOSITIONS.items():
        evaluator = ExpressionEvaluator(page, time, histories)
    try:
        value = evaluator.evaluate(node)
    except (MatchingError, NoData):
        return "refused"
    if isinstance(value, float):
        return value
    return [({**dict(one.labels), **({"__name__": one.name} if one.name else {})}, one.value) for one in value]


def there(server: Prometheus, expression: str) -> Result:
    value = server.query(expression, NOW)
    if isinstance(value, str):
        return "refused"
    return value if isinstance(value, float) else [(dict(labels), number) for labels, number in value]


@dataclass(frozen=True)
class Same:
    """A value that is equal to another one up to the last bits of a sum."""

    value: float

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Same)
        if math.isnan(self.value) or math.isnan(other.value):
            return math.isnan(self.value) and math.isnan(other.value)
        return math.isclose(self.value, other.value, rel_tol=1e-9, abs_tol=1e-12)

    __hash__ = None  # type: ignore[assignment] # approximate equality has no hash


def comparable(result: Result) -> object:
    if isinstance(result, list):
        return (
            sorted((sorted(labels.items()), Same(number)) for labels, number in result)
            if not _twice(result)
            else result
        )
    return result if isinstance(result, str) else Same(result)


def _twice(result: list[tuple[dict[str, str], float]]) -> bool:
    return len({tuple(sorted(labels.items())) for labels, _ in result}) != len(result)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder: Path = tmp_path_factory.mktemp("prometheus")
    with prometheus(folder, SCRAPES) as running:
        yield running


RATES = ("rate", "increase", "delta")
RATED = ("requests_total", "late_total", "flat_total", "temperature", "used", 'requests_total{code="404"}')
EXPRESSIONS = [
    "1 + 2 * 3 ^ 2 ^ 0.5 - 7 % 4 / 2",
    "-2 ^ 2",
    "2 ^ -1 * 3",
    "-(1 - 2) - -3",
    "0x1F + 1e-3 + .5 + 5.",
    "1 == bool 1",
    "Inf - NaN",
    "time()",
    "time() - seen_timestamp_seconds",
    "lonely",
    "-lonely",
    '{__name__="lonely"}',
    '{__name__=~"lone.*|flat_total"}',
    '{__name__=~"lone.*|flat_total"} + 1',
    '-{__name__=~"lone.*|flat_total"}',
    'requests_total{code=~"5.."}',
    'requests_total{code=~"5"}',
    'requests_total{code!~"2.*|4.*"}',
    'requests_total{code!="200",method="get"}',
    'requests_total{nothing=""}',
    'requests_total{nothing!=""}',
    'requests_total{code=~".+"}',
    "requests_total{code=~'[25]00'}",
    "used / limit",
    "limit / used",
    "used % limit",
    "limit ^ used",
    "used < limit",
    "used > bool limit",
    "used != limit",
    "5 < used",
    "5 < bool used",
    "used == used",
    "temperature != temperature",
    "temperature > 0 or used",
    "used and limit",
    "used unless limit",
    "used and on (pool) limit > 5",
    "used or vector(1)",
    "(nothing_total or vector(0)) + 1",
    "used * ignoring (pool) limit",
    'used{pool="a"} * ignoring (pool) limit{pool="b"}',
    'used{pool="a"} * on () limit{pool="b"}',
    "used * on (pool) limit",
    "used > on (pool) limit",
    "requests_total * on (code) requests_total",
    'requests_total{method="get"} - ignoring (method) requests_total{method="post"}',
    'requests_total > on (code) requests_total{method="post"}',
    "sum(requests_total)",
    "sum by (code) (requests_total)",
    "sum(requests_total) by (code)",
    "sum without (code) (requests_total)",
    "avg by (method, code, nothing) (requests_total)",
    "count by () (requests_total)",
    "count without () (requests_total)",
    "count by (__name__) (requests_total)",
    'count by (__name__) ({__name__=~".+"})',
    'sum by (__name__, code) ({__name__=~"requests_total|late_total|used"})',
    "max(requests_total) by (code, __name__)",
    "count without (__name__) (requests_total)",
    "count by (__name__) (rate(requests_total[1m]))",
    'sum by (__name__) ({__name__=~"used|limit"}) + 1',
    'sum by (__name__) ({__name__=~"used|limit"}) > 1',
    "-sum by (__name__) (used)",
    'count by (__name__) ({__name__=~"used|limit"}) * on (__name__) count by (__name__) ({__name__=~"used|limit"})',
    "used > on (__name__, pool) used",
    "used and on (__name__) limit",
    "used and on (__name__) used",
    "used unless on (__name__) limit",
    "used or on (__name__) limit",
    "used * on (pool, __name__) limit",
    "used * on (pool, __name__) used",
    "used * ignoring (__name__) limit",
    "used > ignoring (__name__) limit",
    "used > bool on (__name__, pool) used",
    "min(temperature)",
    "max(temperature)",
    "avg(temperature)",
    "sum(temperature)",
    "max(used) - min(used)",
    "count(used > 4)",
    "sum(nothing)",
    "count(nothing) or vector(0)",
    "absent(nothing)",
    'absent(nothing{a="b",c="d",e!="f",g=~"h"})',
    'absent(nothing{a="b",a="c"})',
    "absent(lonely)",
    "absent(sum(nothing))",
    "absent(used > 100)",
    "vector(5) / 0",
    "sum(rate(requests_total[1m])) by (code)",
    *(f"{function}({metric}[{length}])" for function in RATES for metric in RATED for length in RANGES),
]  # fmt: skip


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_is_worth_what_prometheus_says(server: Prometheus, expression: str) -> None:
    assert comparable(here(expression)) == comparable(there(server, expression))


# -- any expression -----------------------------------------------------------------------------------------------

SELECTORS = st.sampled_from(
    [
        "lonely", "nothing", "used", "limit", "temperature", "requests_total", "late_total", "flat_total",
        'used{pool="a"}', 'used{pool!="a"}', 'limit{pool=~"a|b"}', 'requests_total{code="500"}',
        'requests_total{method="get"}', 'requests_total{method!~"g.*"}', '{__name__=~"used|limit"}',
    ]
)  # fmt: skip
NUMBERS = st.sampled_from(["0", "1", "-2.5", "10", "1e3", "Inf", "NaN", "1m"]).map(
    lambda one: {"1m": "60"}.get(one, one)
)
LABELS = st.sampled_from(["()", "(pool)", "(code)", "(method, code)", "(nothing)", "(__name__)", "(pool, __name__)"])


def _larger(vectors: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">=", "> bool", "!= bool"])
    matching = st.one_of(st.just(""), st.builds("{} {}".format, st.sampled_from(["on", "ignoring"]), LABELS))
    ranges = st.builds("{}[{}]".format, SELECTORS, st.sampled_from(RANGES))
    return st.one_of(
        st.builds("{} {} {} {}".format, vectors, operators, matching, vectors),
        st.builds("{} {} {}".format, vectors, operators, NUMBERS),
        st.builds("{} {} {}".format, NUMBERS, operators, vectors),
        st.builds("{} {} {} {}".format, vectors, st.sampled_from(["and", "or", "unless"]), matching, vectors),
        st.builds("({})".format, vectors),
        st.builds("-{}".format, vectors),
        st.builds(
            "{} {} ({})".format,
            st.sampled_from(["sum", "min", "max", "avg", "count"]),
            st.one_of(st.just(""), st.builds("{} {}".format, st.sampled_from(["by", "without"]), LABELS)),
            vectors,
        ),
        st.builds("{}({})".format, st.sampled_from(["rate", "increase", "delta"]), ranges),
        st.builds("absent({})".format, vectors),
        st.builds("vector({})".format, NUMBERS),
    )


@examples(400, suppress_health_check=list(HealthCheck))
@given(st.recursive(SELECTORS, _larger, max_leaves=5))
def test_any_expression_is_worth_what_prometheus_says(server: Prometheus, expression: str) -> None:
    assert comparable(here(expression)) == comparable(there(server, expression))

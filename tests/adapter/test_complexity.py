"""Every parser of the adapter: four times as much hostile input is about four times the work."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from sidecars.adapter.exposition.page_faults import MalformedPage
from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.health import json_paths, kubernetes_lines, strict_json, to_metrics
from sidecars.adapter.health.documents import DocumentOptions
from sidecars.adapter.health.json_documents import read_json
from sidecars.adapter.health.json_path_selection import select_values
from sidecars.adapter.health.strict_json import NotAHealthDocument
from sidecars.adapter.rendering.negotiation import ExpositionFormat
from sidecars.adapter.rendering.render import render_metrics
from sidecars.adapter.rules.lexer import BadRule
from sidecars.adapter.rules.rule import parse_rules
from sidecars.adapter.rules.rule_evaluator import RuleEvaluator
from tests.growth import Case, require_linear

pytestmark = pytest.mark.slow

MOST = 10**9  # series
LARGEST_PAGE = 20_000  # lines of a page that is parsed before the measurement
OPTIONS = DocumentOptions(max_series=MOST)
LEGACY = ExpositionFormat(openmetrics=False, version="0.0.4", escaping="underscores")
OPENMETRICS = ExpositionFormat(openmetrics=True, version="1.0.0", escaping="underscores")

# -- metrics pages -----------------------------------------------------------------------------------------------------


def lines(form: str) -> Any:
    """Return the maker of a page of n lines; `{n}` in them is the number of the line."""
    return lambda n: "".join(form.replace("{n}", str(number)) + "\n" for number in range(n)).encode()


PAGES: dict[str, Any] = {
    "same series": lines("a 1"),
    "same series with labels": lines('a{x="1",y="2"} 1'),
    "series of one family": lines('a{x="{n}"} 1'),
    "families of a prefix": lines("a_b_c_d_e_f_{n} 1"),
    "families by turns": lines("a 1\nb 1"),
    "a family that comes back": lines("# TYPE a gauge\na 1\n# TYPE b gauge\nb 1"),
    "types without samples": lines("# TYPE a{n} counter"),
    "help for one name": lines("# HELP a about"),
    "suffixes of each other": lines("# TYPE a counter\na_total_total_{n} 1\na_total 1"),
    "empty lines": lambda n: b"\n" * n,
    "blank lines": lines("          "),
    "comments": lines("# about nothing"),
    "one endless line": lambda n: b"a" * n,
    "one endless comment": lambda n: b"#" + b" x" * n,
    "labels of one sample": lambda n: b"a{" + b",".join(b'l%d="v"' % number for number in range(n)) + b"} 1\n",
    "a label again and again": lambda n: b"a{" + b'l="v",' * n + b"} 1\n",
    "escapes": lambda n: b'a{x="' + b"\\\\" * n + b'"} 1\n',
    "escapes that are none": lambda n: b'a{x="' + b"\\x" * n + b'"} 1\n',
    "an open quotation mark": lambda n: b'a{x="' + b"y" * n + b"\n",
    "open quotation marks": lines('a{x="y'),
    "quotation marks": lambda n: b"a{" + b'"' * n + b"\n",
    "braces": lambda n: b"a" + b"{" * n + b"\n",
    "commas": lambda n: b"a{" + b"," * n + b"} 1\n",
    "digits": lambda n: b"a " + b"1" * n + b"\n",
    "spaces": lambda n: b"a" + b" " * n + b"1\n",
    "buckets of one histogram": lambda n: b"# TYPE h histogram\n" + lines('h_bucket{le="{n}"} {n}')(n),
    "histograms": lambda n: b"# TYPE h histogram\n" + lines('h_bucket{x="{n}",le="+Inf"} 1\nh_sum{x="{n}"} 1')(n),
    "histograms by turns": lambda n: (
        b"# TYPE h histogram\n" + lines('h_bucket{x="a",le="{n}"} 1\nh_bucket{x="b",le="{n}"} 1')(n)
    ),
    "quantiles": lambda n: b"# TYPE s summary\n" + lines('s{quantile="0.{n}"} 1')(n),
    "names in quotes": lines('{"a.{n}",x="y"} 1'),
    "faults": lines("a{ 1"),
    "bytes that are no text": lambda n: b"\xff" * n,
    "exemplars": lambda n: b"# TYPE a counter\n" + lines('a_total{x="{n}"} 1 # {t="1"} 1')(n) + b"# EOF\n",
    "carriage returns": lambda n: b"a 1\r" * n,
}


def parse(body: bytes) -> None:
    for source in ("text", "openmetrics"):
        with contextlib.suppress(MalformedPage):
            parse_page(body, "", MOST, source=source)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_metrics_is_parsed_in_linear_time(name: str) -> None:
    require_linear(Case(name, PAGES[name], parse))


RULES = [
    "sum: sum(a) > 0",
    "by: max by (x) (a) > 0",
    "rate: rate(a[1m]) >= 0",
    "join: a / on (x) b > 0",
    "both: a + a > 0",
    'matching: a{x=~"1.*"} > 0',
    "or: (a or b) > 0",
    "unless: count(a unless b) >= 0",
]
SERIES: dict[str, Any] = {
    "series of one family": lines('a{x="{n}"} 1\nb{x="{n}"} 1'),
    "one label of two": lines('a{x="{n}",y="1"} 1\nb{x="1",y="{n}"} 1'),
    "labels of one value": lines('a{y="{n}",x="1"} 1'),
}


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_evaluated_in_linear_time(name: str, rule: str) -> None:
    try:
        rules = parse_rules(rule)
    except BadRule as error:
        pytest.fail(str(error))

    def evaluate(exposition: Any) -> None:
        evaluator = RuleEvaluator(rules)
        for time in (0.0, 15.0):
            evaluator.evaluate(exposition, 1.7e9 + time)

    require_linear(Case(f"{rule}: {name}", lambda n: parse_page(SERIES[name](n), "", MOST), evaluate, LARGEST_PAGE))


WRITTEN = [
    "series of one family",
    "families of a prefix",
    "buckets of one histogram",
    "families by turns",
    "names in quotes",
    "labels of one sample",
    "histograms",
]


@pytest.mark.parametrize("target", [LEGACY, OPENMETRICS], ids=["text", "openmetrics"])
@pytest.mark.parametrize("name", WRITTEN)
def test_a_page_is_written_in_linear_time(name: str, target: ExpositionFormat) -> None:
    def make(n: int) -> Any:
        return [({"app": app}, parse_page(PAGES[name](n), "", MOST)) for app in ("one", "two")]

    require_linear(Case(name, make, lambda parts: render_metrics(parts, target), LARGEST_PAGE))


# -- health documents --------------------------------------------------------------------------------------------------


def nested(n: int) -> Any:
    document: Any = {"status": "UP"}
    for _ in range(n):
        document = {"status": "UP", "components": {"a": document}}
    return document


DOCUMENTS: dict[str, Any] = {
    "components of one name": lambda n: {"status": "UP", "checks": {"a": [{"status": "pass"}] * n}},
    "checks of one name": lambda n: {"status": "UP", "checks": [{"name": "db", "status": "UP"}] * n},
    "names with numbers": lambda n: {
        "status": "UP",
        "checks": [{"name": name, "status": "UP"} for k in range(n) for name in ("db", f"db#{k}")],
    },
    "names that clash when they are numbered": lambda n: {
        "status": "UP",
        "checks": [{"name": f"db#{k}", "status": "UP"} for k in range(n)] + [{"name": "db", "status": "UP"}] * n,
    },
    "components": lambda n: {"status": "UP", "components": {f"prefix-{k}": {"status": "UP"} for k in range(n)}},
    "values": lambda n: {
        "status": "UP",
        "components": {"a": {"status": "UP", "details": {str(k): k for k in range(n)}}},
    },
    "long names": lambda n: {"status": "UP", "checks": [{"name": "x" * n, "status": "UP"}]},
    "an unknown word": lambda n: {"status": "x" * n},
    "nulls": lambda n: {"status": "UP", "components": {str(k): None for k in range(n)}},
    "lists in lists": lambda n: {"status": "UP", "components": [[{"status": "UP"}] for _ in range(n)]},
}


def translate(body: bytes) -> None:
    with contextlib.suppress(NotAHealthDocument):
        to_metrics.page_of_health(read_json(strict_json.parse_json(body, MOST), 200, OPTIONS), 200, numbers=True)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_health_document_becomes_metrics_in_linear_time(name: str) -> None:
    require_linear(Case(name, lambda n: json.dumps(DOCUMENTS[name](n)).encode(), translate))


@pytest.mark.parametrize("depth", [10, 40, 160])
def test_nesting_costs_what_its_bytes_cost(depth: int) -> None:
    document = json.dumps(nested(depth)).encode()
    require_linear(Case("nesting", lambda n: b"[" + b",".join([document] * n) + b"]", translate, least=4))


JSON: dict[str, Any] = {
    "brackets": lambda n: b"[" * n,
    "braces": lambda n: b'{"a":' * n,
    "quotes": lambda n: b'{"a":"' + b'\\"' * n + b'"}',
    "escapes": lambda n: b'{"status":"' + b"\\u0000" * n + b'"}',
    "digits": lambda n: b'{"status":' + b"9" * n + b"}",
    "blanks": lambda n: b" " * n + b"{}",
    "one member again": lambda n: b"{" + b",".join([b'"a":1'] * n) + b"}",
    "lines": lambda n: b"\n" * n + b"x",
}


@pytest.mark.parametrize("name", JSON)
def test_json_is_parsed_in_linear_time(name: str) -> None:
    require_linear(Case(name, JSON[name], translate))


LINES: dict[str, Any] = {
    "checks of one name": lambda n: "[+]ping ok\n" * n + "healthz check passed",
    "checks": lambda n: "".join(f"[+]ping-{k} ok\n" for k in range(n)) + "healthz check passed",
    "failed checks": lambda n: "[-]ping failed: reason withheld\n" * n + "healthz check failed",
    "brackets": lambda n: "[" * n,
    "empty lines": lambda n: "[+]ping ok" + "\n" * n,
    "one line": lambda n: "[+]" + "x " * n,
}


def read_lines(text: str) -> None:
    with contextlib.suppress(NotAHealthDocument):
        kubernetes_lines.read_text(text, 200, OPTIONS)


@pytest.mark.parametrize("name", LINES)
def test_kubernetes_lines_are_read_in_linear_time(name: str) -> None:
    require_linear(Case(name, LINES[name], read_lines))


@pytest.mark.parametrize("path", ["$.a[*].b", "$.a[*][*].b", "$.a[?(@.b=='x')].c", "$.a[0].b"])
def test_numbers_are_selected_in_linear_time(path: str) -> None:
    try:
        paths = json_paths.parse_json_paths(f"n={path}")
    except ValueError as error:
        pytest.fail(str(error))
    items = {"b": 1, "c": "x"}

    def select(document: Any) -> None:
        with contextlib.suppress(NotAHealthDocument):
            select_values(paths, document, max_values=MOST)

    require_linear(
        Case(path, lambda n: {"a": [items if k % 2 else {"b": "x", "c": k} for k in range(n)]}, select, LARGEST_PAGE)
    )

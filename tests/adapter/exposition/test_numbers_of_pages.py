"""Numbers in pages, of any size: none raises an unexpected error, and none makes a written page invalid."""

from __future__ import annotations

from itertools import product

import pytest

from sidecars.adapter.exposition.page_faults import MalformedPage
from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.rendering.negotiation import TEXT, ExpositionFormat
from sidecars.adapter.rendering.render import render_metrics
from sidecars.adapter.rules.rule import parse_rules
from sidecars.adapter.rules.rule_evaluator import RuleEvaluator

NUMBERS = [
    *("1e400", "-1e400", "1e-400", "1e999999999999999999999", "1e-999999999999999999999", "1E+9223372036854775807"),
    *("9" * 5000, "0" * 5000 + "1", f"1.{'0' * 5000}1", "-0", "+Inf", "-inf", "NaN", "1e18", "1e15", "0.0015"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "9223372036854775.807"),
]  # fmt: skip
TARGETS = [
    TEXT,
    ExpositionFormat(True, "1.0.0"),
    ExpositionFormat(version="1.0.0", escaping="allow-utf-8"),
    ExpositionFormat(True, "0.0.1"),
]
RULES = parse_rules(
    'a: {__name__=~".+"} > 5; b: rate(x[1m]) < 5; c: age(x) < 60s; d: max(x) by (le) == 1; e: stale(x[1m]) == 0'
)
HISTOGRAM = '# TYPE x histogram\nx_bucket{{le="{0}"}} 1\nx_bucket{{le="+Inf"}} {1}\nx_count {1}\nx_sum {0}\n'
TEXT_PAGES = ["x {0} {1}\n", "x {0}\nx {1}\n", "x 1 {0}\nx 1 {1}\n", HISTOGRAM]
OPENMETRICS_PAGES = [
    "x {0} {1}\n",
    "x 1 {0}\nx 2 {1}\n",
    "# TYPE x counter\nx_total {0} {1}\n",
    "# TYPE x counter\nx_total 1 1 # {{}} {0} {1}\n",
    '# TYPE x summary\nx{{quantile="{0}"}} {1}\nx_count {1}\nx_sum {0}\n',
    HISTOGRAM,
]


@pytest.mark.parametrize(
    ("template", "content_type"),
    [
        *((template, "text/plain") for template in TEXT_PAGES),
        *((f"{template}# EOF\n", "application/openmetrics-text") for template in OPENMETRICS_PAGES),
    ],
)
def test_any_two_numbers_are_read_judged_and_handed_on_or_refused(template: str, content_type: str) -> None:
    read = 0
    for one, other in product(NUMBERS, NUMBERS):
        try:
            exposition = parse_page(template.format(one, other).encode(), content_type, 100)
        except MalformedPage:
            continue
        read += 1
        for result in RuleEvaluator(RULES).evaluate(exposition, 1_700_000_000.0):
            assert result.reason
        for target in TARGETS:
            assert not parse_page(
                render_metrics([({}, exposition)], target), target.content_type, 100
            ).must_be_rewritten
    assert read > len(NUMBERS)

"""Evaluation of one rule over pages of metrics, for tests of the rules."""

from __future__ import annotations

from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.rules.results import RuleResult
from sidecars.adapter.rules.rule import parse_rules
from sidecars.adapter.rules.rule_evaluator import RuleEvaluator

NOW = 1_700_000_000.0  # Unix seconds
PAGE = """\
queue_length{queue="a"} 3
queue_length{queue="b"} 12
queue_length{queue="c"} 15
queue_limit{queue="a"} 10
queue_limit{queue="b"} 20
heap_used{area="heap"} 95
heap_max{area="heap"} 100
ratio NaN
flag 1
zero 0
"""


def evaluate(rule: str, page: str = PAGE, now: float = NOW) -> RuleResult:
    (result,) = RuleEvaluator(parse_rules(rule)).evaluate(parse_page(page.encode(), "", 100), now)
    return result


def over_time(rule: str, *pages: tuple[float, str]) -> RuleResult:
    """Return the last result, after expositions at these seconds."""
    evaluator = RuleEvaluator(parse_rules(rule))
    for time, page in pages:
        (result,) = evaluator.evaluate(parse_page(page.encode(), "", 100), NOW + time)
    return result

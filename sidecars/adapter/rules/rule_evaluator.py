"""Evaluate an app's rules over its metrics: a result with a reason for each rule. No I/O; the time is passed in.

evaluator = RuleEvaluator(parse_rules(text))       # keeps the histories that `rate` and the like need
results = evaluator.evaluate(exposition, time.time())
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.unknown_values import NONE_UNKNOWN, UnknownValues
from sidecars.adapter.rules.ast import find_selectors
from sidecars.adapter.rules.expression_evaluator import ExpressionEvaluator, Histories, NoData, selector_key
from sidecars.adapter.rules.results import RuleResult, judge_rule, no_data_result
from sidecars.adapter.rules.rule import Rule
from sidecars.adapter.rules.series_history import SelectorHistory
from sidecars.adapter.rules.vector_operations import MatchingError


class RuleEvaluator:
    """The rules of one app, and the histories of their range vector selectors. `ReloadingRules` owns it.

    `evaluate` must get every exposition of the app, and may be called at any interval. A range such as `[1m]` covers
    the expositions of the last minute: `rate` has no data until it has two points.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._histories: Histories = {}
        for rule in self._rules:
            for node in (rule.left, rule.right):
                for selector in find_selectors(node) if node else ():
                    if selector.range is not None:
                        history = selector, SelectorHistory(selector.range)
                        self._histories.setdefault((selector_key(selector), selector.range), history)

    def evaluate(
        self, exposition: Exposition, now: float, unknown: UnknownValues = NONE_UNKNOWN
    ) -> tuple[RuleResult, ...]:
        """Return one result for each rule, in their order. `now` is in Unix seconds.

        A rule that selects one of the `unknown` values has no data.
        """
        evaluator = ExpressionEvaluator(exposition, now, self._histories, unknown)
        return tuple(_evaluate_rule(evaluator, rule) for rule in self._rules)

    def no_data_results(self, reason: str) -> tuple[RuleResult, ...]:
        """Return the results if there is no exposition, for the reason given: each rule has no data."""
        return tuple(no_data_result(rule, reason) for rule in self._rules)

    @property
    def count(self) -> int:
        """The number of rules."""
        return len(self._rules)

    def series_kept(self) -> int:
        """Return the number of series that have a history."""
        return sum(len(history) for _, history in self._histories.values())


def _evaluate_rule(evaluator: ExpressionEvaluator, rule: Rule) -> RuleResult:
    try:
        pairs = evaluator.compared_pairs(rule)
    except NoData as error:
        return no_data_result(rule, error.reason, error.detail)
    except MatchingError as error:
        return no_data_result(rule, str(error))
    return judge_rule(rule, pairs)

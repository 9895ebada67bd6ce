"""Judging an app's metrics by the rules: what each rule finds, and why. No I/O; the time is passed in.

evaluator = Evaluator(rules.parse(text))           # keeps what `rate` and its like need of the past
findings = evaluator.judge(exposition, time.time())
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.unknown_values import NONE_UNKNOWN, UnknownValues
from sidecars.adapter.rules.ast import selectors
from sidecars.adapter.rules.expression_evaluator import ExpressionEvaluator, Histories, NoData, key_of
from sidecars.adapter.rules.results import RuleResult, judged, no_data
from sidecars.adapter.rules.rule import Rule
from sidecars.adapter.rules.series_history import History
from sidecars.adapter.rules.vector_operations import MatchingError


class RuleEvaluator:
    """The rules, and the part of the past that they need. One for each app; feed it every exposition that is fetched.

    `judge` may be called at any interval. A range such as `[1m]` knows what was judged in the last minute, so that
    `rate` says "no-data" until it has two samples.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._histories: Histories = {}
        for rule in self._rules:
            for node in (rule.left, rule.right):
                for selector in selectors(node) if node else ():
                    if selector.range is not None:
                        kept = selector, History(selector.range)
                        self._histories.setdefault((key_of(selector), selector.range), kept)

    def evaluate(
        self, exposition: Exposition, now: float, unknown: UnknownValues = NONE_UNKNOWN
    ) -> tuple[RuleResult, ...]:
        """Return one finding for each rule, in their order. `now` is in Unix seconds.

        A rule that looks at one of the `unknown` values has no data.
        """
        moment = ExpressionEvaluator(exposition, now, self._histories, unknown)
        return tuple(_finding(moment, rule) for rule in self._rules)

    def unavailable(self, reason: str) -> tuple[RuleResult, ...]:
        """One finding for each rule when there is no exposition: no-data, and the reason (the app is down, …)."""
        return tuple(no_data(rule, reason) for rule in self._rules)

    def series_kept(self) -> int:
        """How many series' pasts are kept."""
        return sum(len(kept) for _, kept in self._histories.values())


def _finding(moment: ExpressionEvaluator, rule: Rule) -> RuleResult:
    try:
        pairs = moment.pairs(rule)
    except NoData as error:
        return no_data(rule, error.reason, error.words)
    except MatchingError as error:
        return no_data(rule, str(error))
    return judged(rule, pairs)

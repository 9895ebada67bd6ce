"""Evaluate expressions over one exposition at one instant, as an instant query of Prometheus does. No I/O.

An expression is evaluated from its leaves up. A selector finds samples, without those that are stale (older than the
lookback of five minutes). Operations and functions combine them.

A rule without data is never healthy. A selector that finds no series leaves a note, and so does a range function with
too few points. If the whole rule has no value in the end, the first note is its reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import nan

from sidecars.adapter.exposition.exposition import Exposition, LabelTests
from sidecars.adapter.exposition.labels import Labels
from sidecars.adapter.exposition.sample import Sample
from sidecars.adapter.exposition.unknown_values import NONE_UNKNOWN, UnknownValues
from sidecars.adapter.rules import series_history
from sidecars.adapter.rules.ast import (
    Aggregation,
    BinaryOperation,
    Call,
    Expression,
    Negation,
    NumberLiteral,
    VectorSelector,
)
from sidecars.adapter.rules.range_functions import RANGE_FUNCTIONS
from sidecars.adapter.rules.results import ComparedPair, absent_argument
from sidecars.adapter.rules.rule import Rule, text_of
from sidecars.adapter.rules.series_history import SelectorHistory, TooManySeries
from sidecars.adapter.rules.vector_operations import (
    NAME_LABEL,
    InstantVector,
    OneToOneCheck,
    aggregate,
    binary_operation,
    find_duplicate,
    match_one_to_one,
    negate,
)

LOOKBACK = 300.0  # seconds: a sample with an older timestamp is stale, as in Prometheus
MAX_AHEAD = 60.0  # seconds that a clock may be ahead, in a sample's timestamp and in the argument of `age`

SelectorKey = tuple[str, tuple[tuple[str, str, str], ...]]
Histories = dict[tuple[SelectorKey, float], tuple[VectorSelector, SelectorHistory]]
"""The histories of all range vector selectors, by selector and range in seconds."""


class NoData(Exception):
    """The rule has no value. `detail` is the reason with the app's own text, if an unknown value is the cause."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def selector_key(selector: VectorSelector) -> SelectorKey:
    """Return a key that is equal for selectors of the same series."""
    return selector.name, tuple((one.label, one.operator, one.value) for one in selector.matchers)


class ExpressionEvaluator:
    """The evaluation of all rules over one exposition at one instant. `RuleEvaluator` makes one for each exposition.

    It adds the exposition's samples to the histories when it is made.
    """

    def __init__(
        self, exposition: Exposition, now: float, histories: Histories, unknown: UnknownValues = NONE_UNKNOWN
    ) -> None:
        self._exposition = exposition
        self._unknown = unknown
        self._now = now  # in Unix seconds
        self._histories = histories
        self._selected: dict[SelectorKey, InstantVector] = {}
        self._newest_stale: dict[SelectorKey, float] = {}  # the newest timestamp of a selector's stale samples
        self._newest_ahead: dict[SelectorKey, float] = {}  # the newest timestamp of a selector's samples of the future
        self._too_many: set[tuple[SelectorKey, float]] = set()
        self._notes: list[str] = []
        self._source = ""
        for key, (selector, history) in histories.items():
            try:
                history.observe(self._select(selector), now)
            except TooManySeries:
                self._too_many.add(key)

    def compared_pairs(self, rule: Rule) -> list[ComparedPair]:
        """Return the samples of the rule's left side with their thresholds. Raises NoData and MatchingError."""
        self._notes = []
        self._source = rule.source
        left = self._evaluate_vector(rule.left)
        right = 0.0 if rule.right is None else self.evaluate(rule.right)
        if not left or right == []:
            raise NoData(self._explain_empty(rule))
        if isinstance(right, list):
            one_to_one = OneToOneCheck(rule.matching)
            pairs: list[ComparedPair] = []
            for sample, partner in match_one_to_one(rule.matching, left, right):
                if partner is not None:
                    one_to_one.take(sample)
                pairs.append((sample, None if partner is None else partner.value))
            return pairs
        return [(sample, right) for sample in left]

    def _explain_empty(self, rule: Rule) -> str:
        argument = absent_argument(rule)
        if argument:
            return f"{rule.text_of(argument)} is there, and must not be"
        if self._notes:
            return self._notes[0]
        return f"{rule.text} has no value: no series is left on which to judge"

    def evaluate(self, node: Expression) -> float | InstantVector:
        """Return the value of the expression. Raises NoData and MatchingError."""
        match node:
            case NumberLiteral(value=value):
                result: float | InstantVector = value
            case VectorSelector():
                result = self._instant_vector(node)
            case Call():
                result = self._call(node)
            case Negation(operand=operand):
                result = negate(self.evaluate(operand))
            case Aggregation(argument=argument):
                result = aggregate(node, self._evaluate_vector(argument))
            case BinaryOperation(left=left, right=right):
                result = binary_operation(node, self.evaluate(left), self.evaluate(right))
        return self._check_unique(result) if isinstance(result, list) and _may_have_duplicates(node) else result

    def _evaluate_vector(self, node: Expression) -> InstantVector:
        value = self.evaluate(node)
        assert isinstance(value, list)  # noqa: S101 - the parser has checked the type
        return value

    def _check_unique(self, vector: InstantVector) -> InstantVector:
        duplicate = find_duplicate(vector)
        if duplicate is not None:
            series = duplicate.notation() or "those without labels"
            raise NoData(f"without their names several series are the same: {series}")
        return vector

    # -- selectors -------------------------------------------------------------------------------------------------

    def _select(self, selector: VectorSelector) -> InstantVector:
        """Return the selected samples that are neither stale nor of the future."""
        key = selector_key(selector)
        if key in self._selected:
            return self._selected[key]
        tests = _label_tests(selector)
        found: InstantVector = []
        for name in _selected_names(selector, self._exposition.metric_names()):
            found += self._exposition.select(name, tests)
        times = [sample.timestamp for sample in found if sample.timestamp is not None]
        if times:
            oldest, latest = self._now - LOOKBACK, self._now + MAX_AHEAD
            if max(times) > latest:
                self._newest_ahead[key] = max(times)
            if min(times) <= oldest:
                self._newest_stale[key] = max(time for time in times if time <= oldest)
            found = [one for one in found if one.timestamp is None or oldest < one.timestamp <= latest]
        self._selected[key] = found
        return found

    def _refuse_unknown(self, selector: VectorSelector) -> None:
        """Raise NoData if the selector selects a series without a usable value."""
        for name in _selected_names(selector, self._unknown.names()):
            one = self._unknown.find(name, _label_tests(selector))
            if one:
                raise NoData(one.reason, one.detail)

    def _refuse_dropped(self, selector: VectorSelector) -> None:
        """Raise NoData if the selector may select a series of a dropped family.

        Otherwise `absent(x)` and `x or vector(0)` would treat an unknown series as one that does not exist.
        """
        unusable = self._exposition.unusable
        for name in _selected_names(selector, unusable):
            if name in unusable:
                raise NoData(f"{name} cannot be used: {unusable[name]}")

    def _instant_vector(self, selector: VectorSelector) -> InstantVector:
        """Return the selected samples. Raises NoData; leaves a note if there are none."""
        self._refuse_dropped(selector)
        if self._unknown:
            self._refuse_unknown(selector)
        found = self._select(selector)
        ahead = self._newest_ahead.get(selector_key(selector)) if self._newest_ahead else None
        if ahead is not None:  # mostly a timestamp in another unit; such a sample would never become stale
            seconds = f"{ahead - self._now:.0f}s"
            raise NoData(f"a sample of {self._text_of(selector)} is {seconds} ahead of the clock")
        if not found:
            newest = self._newest_stale.get(selector_key(selector))
            if newest is None:
                self._notes.append(f"there is no series {self._text_of(selector)}")
            else:
                age = f"{self._now - newest:.0f}s"
                self._notes.append(f"the newest sample of {self._text_of(selector)} is {age} old")
        return found

    def _text_of(self, node: Expression) -> str:
        return text_of(self._source, node)

    # -- functions -------------------------------------------------------------------------------------------------

    def _call(self, call: Call) -> float | InstantVector:
        argument = call.argument
        if argument is None:
            return self._now
        if isinstance(argument, VectorSelector) and argument.range is not None:
            return self._range_function(call.function, argument)
        value = self.evaluate(argument)
        if call.function == "vector":
            assert isinstance(value, float)  # noqa: S101 - the parser has checked the type
            return [Sample("", (), value)]
        assert isinstance(value, list)  # noqa: S101 - the parser has checked the type
        if call.function == "absent":
            return [] if value else [Sample("", _absent_labels(argument), 1.0)]
        return [sample.derive(self._age(sample.value)) for sample in value]

    def _age(self, timestamp: float) -> float:
        """Return the age in seconds; NaN if the timestamp is too far ahead."""
        age = self._now - timestamp
        return age if age >= -MAX_AHEAD else nan

    def _range_function(self, function: str, selector: VectorSelector) -> InstantVector:
        """Call `rate` and the like. Raises NoData; leaves a note if a series has too few points."""
        assert selector.range is not None  # noqa: S101 - the caller has checked it
        key = selector_key(selector), selector.range
        if key in self._too_many:
            most = series_history.MAX_SERIES
            raise NoData(f"{self._text_of(selector)} selects more than {most} series, too many to remember")
        _, history = self._histories[key]
        result: InstantVector = []
        samples = self._instant_vector(selector)
        for sample in samples:
            value = RANGE_FUNCTIONS[function](history.window(sample, self._now))
            if value is not None:
                result.append(sample.derive(value))
        if len(result) < len(samples):
            needed = "its whole range, or one change," if function == "stale" else "two samples"
            self._notes.append(f"{function} needs {needed} of {self._text_of(selector)}, and has not seen so much yet")
        return result


def _selected_names(selector: VectorSelector, names: Iterable[str]) -> Iterable[str]:
    """Return the metric names that the selector selects: its own name, or those of `names` that its matchers match."""
    matchers = [one for one in selector.matchers if one.label == NAME_LABEL]
    candidates = [selector.name] if selector.name else names
    return [name for name in candidates if all(one.matches(name) for one in matchers)]


def _label_tests(selector: VectorSelector) -> LabelTests:
    """Return the selector's tests of labels. A test of the metric's name is not among them."""
    return [(one.label, one.matches) for one in selector.matchers if one.label != NAME_LABEL]


def _may_have_duplicates(node: Expression) -> bool:
    """True if the value may have series that differ in nothing but their names."""
    match node:
        case VectorSelector(name=name):
            return not name
        case Call(argument=argument):
            return argument is not None and _may_have_duplicates(argument)
        case Negation(operand=operand):
            return _may_have_duplicates(operand)
        case BinaryOperation(operator=operator, left=left, right=right):
            return operator == "or" or _may_have_duplicates(left) or _may_have_duplicates(right)
        case Aggregation(labels=labels, without=without, argument=argument):
            return NAME_LABEL in labels and not without and _may_have_duplicates(argument)
        case NumberLiteral():
            return False


def _absent_labels(argument: Expression) -> Labels:
    """Return the labels of the value of `absent`: those that the selector demands with `=`, each once."""
    if not isinstance(argument, VectorSelector):
        return ()
    labels = [one.label for one in argument.matchers]
    return tuple(
        sorted(
            (one.label, one.value)
            for one in argument.matchers
            if one.operator == "=" and one.value and labels.count(one.label) == 1 and one.label != NAME_LABEL
        )
    )

"""One exposition at one time, in which rules are worked out: from the leaves up, as PromQL does. No I/O.

What is special here is what becomes of nothing. Where a selector finds no series, or `rate` too few points, that is
noted; and when the whole rule then has nothing to judge, the first note is its reason: a rule without data is never
healthy.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import nan

from sidecars.adapter.exposition.exposition import Exposition, LabelTests
from sidecars.adapter.exposition.labels import Labels
from sidecars.adapter.exposition.sample import Sample
from sidecars.adapter.exposition.unknown_values import NONE_UNKNOWN, UnknownValues
from sidecars.adapter.rules import series_history
from sidecars.adapter.rules.ast import Aggregation, Call, Expression, Negation, Number, Operation, Selector
from sidecars.adapter.rules.results import Pair, absent_argument
from sidecars.adapter.rules.rule import Rule, written
from sidecars.adapter.rules.series_history import History, TooManySeries
from sidecars.adapter.rules.vector_operations import (
    NAME,
    OneToOne,
    Vector,
    aggregated,
    between,
    duplicate,
    matched,
    negated,
    shown,
)

LOOKBACK = 300.0  # seconds: a sample with an older timestamp is stale, as in Prometheus
FUTURE = 60.0  # seconds that a clock may be ahead, in a sample's timestamp and in what `age` is asked about

Key = tuple[str, tuple[tuple[str, str, str], ...]]
Histories = dict[tuple[Key, float], tuple[Selector, History]]
"""By selector and range in seconds."""


class NoData(Exception):
    """The rule has no value, for this reason. `words` are those of an unknown value."""

    def __init__(self, reason: str, words: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.words = words


def key_of(selector: Selector) -> Key:
    """What is equal for selectors of the same series."""
    return selector.name, tuple((one.label, one.operator, one.value) for one in selector.matchers)


class ExpressionEvaluator:
    """One exposition at one time, in which all rules are worked out."""

    def __init__(
        self, exposition: Exposition, now: float, histories: Histories, unknown: UnknownValues = NONE_UNKNOWN
    ) -> None:
        self._exposition = exposition
        self._unknown = unknown
        self._now = now
        self._histories = histories
        self._selected: dict[Key, Vector] = {}
        self._old: dict[Key, float] = {}  # the newest of what a selector leaves out as stale
        self._ahead: dict[Key, float] = {}  # the newest of what a selector cannot use, since its time is yet to come
        self._overflown: set[tuple[Key, float]] = set()
        self._notes: list[str] = []
        self._source = ""
        for key, (selector, kept) in histories.items():
            try:
                kept.observe(self._select(selector), now)
            except TooManySeries:
                self._overflown.add(key)

    def pairs(self, rule: Rule) -> list[Pair]:
        """What the rule judges, at least one. Raises `Unjudgeable` and `Unmatched`."""
        self._notes = []
        self._source = rule.source
        left = self._vector(rule.left)
        right = 0.0 if rule.right is None else self.value(rule.right)
        if not left or right == []:
            raise NoData(self._why_empty(rule))
        if isinstance(right, list):
            one_to_one = OneToOne(rule.matching)
            pairs: list[Pair] = []
            for mine, other in matched(rule.matching, left, right):
                if other is not None:
                    one_to_one.take(mine)
                pairs.append((mine, None if other is None else other.value))
            return pairs
        return [(sample, right) for sample in left]

    def _why_empty(self, rule: Rule) -> str:
        argument = absent_argument(rule)
        if argument:
            return f"{rule.written(argument)} is there, and must not be"
        if self._notes:
            return self._notes[0]
        return f"{rule.text} has no value: no series is left on which to judge"

    def value(self, node: Expression) -> float | Vector:
        """What the expression is worth. Raises `Unjudgeable` and `Unmatched`."""
        match node:
            case Number(value=value):
                result: float | Vector = value
            case Selector():
                result = self._instant(node)
            case Call():
                result = self._call(node)
            case Negation(operand=operand):
                result = negated(self.value(operand))
            case Aggregation(argument=argument):
                result = aggregated(node, self._vector(argument))
            case Operation(left=left, right=right):
                result = between(node, self.value(left), self.value(right))
        return self._unique(result) if isinstance(result, list) and _may_repeat(node) else result

    def _vector(self, node: Expression) -> Vector:
        value = self.value(node)
        assert isinstance(value, list)  # noqa: S101 - the grammar knows
        return value

    def _unique(self, vector: Vector) -> Vector:
        twice = duplicate(vector)
        if twice is not None:
            raise NoData(f"without their names several series are the same: {shown(twice) or 'those without labels'}")
        return vector

    # -- selectors -------------------------------------------------------------------------------------------------

    def _select(self, selector: Selector) -> Vector:
        """The series that it selects and that are not stale."""
        key = key_of(selector)
        if key in self._selected:
            return self._selected[key]
        conditions = _conditions(selector)
        found: Vector = []
        for name in _names(selector, self._exposition.metric_names()):
            found += self._exposition.select(name, conditions)
        times = [sample.timestamp for sample in found if sample.timestamp is not None]
        if times:
            oldest, latest = self._now - LOOKBACK, self._now + FUTURE
            if max(times) > latest:
                self._ahead[key] = max(times)
            if min(times) <= oldest:
                self._old[key] = max(time for time in times if time <= oldest)
            found = [one for one in found if one.timestamp is None or oldest < one.timestamp <= latest]
        self._selected[key] = found
        return found

    def _refuse_unknown(self, selector: Selector) -> None:
        """Raise Unjudgeable where the selector selects a series that has no usable value."""
        for name in _names(selector, self._unknown.names()):
            one = self._unknown.find(name, _conditions(selector))
            if one:
                raise NoData(one.reason, one.words)

    def _refuse_condemned(self, selector: Selector) -> None:
        """Raise Unjudgeable where the selector may select a series of a family that is left out.

        Otherwise `absent(x)` and `x or vector(0)` would take what is not known for what is not there.
        """
        unusable = self._exposition.unusable
        for name in _names(selector, unusable):
            if name in unusable:
                raise NoData(f"{name} cannot be used: {unusable[name]}")

    def _instant(self, selector: Selector) -> Vector:
        self._refuse_condemned(selector)
        if self._unknown:
            self._refuse_unknown(selector)
        found = self._select(selector)
        ahead = self._ahead.get(key_of(selector)) if self._ahead else None
        if ahead is not None:  # in another unit, mostly; such a sample would never become stale
            raise NoData(f"a sample of {self._written(selector)} is {ahead - self._now:.0f}s ahead of the clock")
        if not found:
            old = self._old.get(key_of(selector))
            if old is None:
                self._note(f"there is no series {self._written(selector)}")
            else:
                self._note(f"the newest sample of {self._written(selector)} is {self._now - old:.0f}s old")
        return found

    def _written(self, node: Expression) -> str:
        return written(self._source, node)

    def _note(self, why: str) -> None:
        self._notes.append(why)

    # -- functions -------------------------------------------------------------------------------------------------

    def _call(self, call: Call) -> float | Vector:
        argument = call.argument
        if argument is None:
            return self._now
        if isinstance(argument, Selector) and argument.range is not None:
            return self._over_range(call.function, argument)
        value = self.value(argument)
        if call.function == "vector":
            assert isinstance(value, float)  # noqa: S101 - the grammar knows
            return [Sample("", (), value)]
        assert isinstance(value, list)  # noqa: S101 - the grammar knows
        if call.function == "absent":
            return [] if value else [Sample("", _wanted_labels(argument), 1.0)]
        return [sample.derive(self._age(sample.value)) for sample in value]

    def _age(self, timestamp: float) -> float:
        age = self._now - timestamp
        return age if age >= -FUTURE else nan

    def _over_range(self, function: str, selector: Selector) -> Vector:
        assert selector.range is not None  # noqa: S101 - the caller knows
        key = key_of(selector), selector.range
        if key in self._overflown:
            most = series_history.MOST_SERIES
            raise NoData(f"{self._written(selector)} selects more than {most} series, too many to remember")
        kept = self._histories[key][1]
        found: Vector = []
        few = 0
        for sample in self._instant(selector):
            value = (
                self._stale(kept, sample, selector.range)
                if function == "stale"
                else _OVER[function](kept.window(sample, self._now))
            )
            if value is None:
                few += 1
            else:
                found.append(sample.derive(value))
        if few:
            needed = "its whole range, or one change," if function == "stale" else "two samples"
            self._note(f"{function} needs {needed} of {self._written(selector)}, and has not seen so much yet")
        return found

    def _stale(self, kept: History, sample: Sample, length: float) -> float | None:
        """1 when the value has not changed for so long, 0 when it has, None while nobody can know."""
        past = kept.past(sample)
        if self._now - past.changed >= length:
            return 1.0
        return 0.0 if past.moved else None


def _names(selector: Selector, there: Iterable[str]) -> Iterable[str]:
    """Return the names of metrics that it selects, of those that are there."""
    of_name = [one for one in selector.matchers if one.label == NAME]
    names = [selector.name] if selector.name else there
    return [name for name in names if all(one.test(name) for one in of_name)]


def _conditions(selector: Selector) -> LabelTests:
    """Return what it demands of the labels, but for the name."""
    return [(one.label, one.test) for one in selector.matchers if one.label != NAME]


def _may_repeat(node: Expression) -> bool:
    """Whether series of different names come together in it, which may be the same once the names are lost."""
    match node:
        case Selector(name=name):
            return not name
        case Call(argument=argument):
            return argument is not None and _may_repeat(argument)
        case Negation(operand=operand):
            return _may_repeat(operand)
        case Operation(operator=operator, left=left, right=right):
            return operator == "or" or _may_repeat(left) or _may_repeat(right)
        case Aggregation(labels=labels, without=without, argument=argument):
            return NAME in labels and not without and _may_repeat(argument)
        case Number():
            return False


_OVER = {"rate": series_history.rate, "increase": series_history.increase, "delta": series_history.delta}


def _wanted_labels(argument: Expression) -> Labels:
    """What `absent` knows of a series that is not there: the labels that were to be equal, where they are so once."""
    if not isinstance(argument, Selector):
        return ()
    labels = [one.label for one in argument.matchers]
    return tuple(
        sorted(
            (one.label, one.value)
            for one in argument.matchers
            if one.operator == "=" and one.value and labels.count(one.label) == 1 and one.label != NAME
        )
    )

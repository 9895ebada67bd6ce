"""PromQL's operations on instant vectors and scalars: binary operations, vector matching, aggregation. No I/O.

The result of an operation has no metric name ("" in its samples), as in PromQL.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sidecars.adapter.exposition.labels import Labels
from sidecars.adapter.exposition.sample import Sample
from sidecars.adapter.rules.ast import SET_OPERATORS, Aggregation, BinaryOperation, VectorMatching

InstantVector = list[Sample]
NAME_LABEL = "__name__"
"""PromQL's label with the metric's name."""


class MatchingError(Exception):
    """The two sides cannot be matched one-to-one. The message is a phrase."""


def _divide(a: float, b: float) -> float:
    if b:
        return a / b
    if not a or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def _modulo(a: float, b: float) -> float:
    try:
        return math.fmod(a, b)
    except ValueError:  # of infinity, or by zero
        return math.nan


def _power(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 == 1 else math.inf
    except ValueError:  # a root of a negative number, or zero to a negative power
        if a == 0:
            odd = b % 2 == 1
            return math.copysign(math.inf, a) if odd else math.inf
        return math.nan


ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": _modulo,
    "^": _power,
}
COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def binary_operation(
    operation: BinaryOperation, left: float | InstantVector, right: float | InstantVector
) -> float | InstantVector:
    """Return the value of the operation on the values of its sides. Raises MatchingError."""
    if isinstance(left, list) and isinstance(right, list):
        if operation.operator in SET_OPERATORS:
            return _set_operation(operation, left, right)
        return _between_vectors(operation, left, right)
    if isinstance(left, list) or isinstance(right, list):
        return _with_scalar(operation, left, right)
    if operation.operator in ARITHMETIC:
        return ARITHMETIC[operation.operator](left, right)
    return float(COMPARE[operation.operator](left, right))


def negate(value: float | InstantVector) -> float | InstantVector:
    if isinstance(value, list):
        return [sample.derive(-sample.value) for sample in value]
    return -value


def _with_scalar(
    operation: BinaryOperation, left: float | InstantVector, right: float | InstantVector
) -> InstantVector:
    vector = left if isinstance(left, list) else right
    assert isinstance(vector, list)  # noqa: S101 - one of them is
    pairs = [
        (
            sample,
            left if not isinstance(left, list) else sample.value,
            right if not isinstance(right, list) else sample.value,
        )
        for sample in vector
    ]
    if operation.operator in ARITHMETIC:
        calculate = ARITHMETIC[operation.operator]
        return [sample.derive(calculate(a, b)) for sample, a, b in pairs]
    compare = COMPARE[operation.operator]
    if operation.return_bool:
        return [sample.derive(float(compare(a, b))) for sample, a, b in pairs]
    return [sample for sample, a, b in pairs if compare(a, b)]


# -- vector matching ---------------------------------------------------------------------------------------------------


def matching_key(matching: VectorMatching, sample: Sample) -> Labels:
    """Return the labels by which a series is matched.

    The metric's name is one of them only if `on` or `by` lists `__name__`.
    """
    if matching.on:
        kept = tuple(pair for pair in sample.labels if pair[0] in matching.labels)
        return ((NAME_LABEL, sample.name), *kept) if sample.name and NAME_LABEL in matching.labels else kept
    if matching.labels:
        return tuple(pair for pair in sample.labels if pair[0] not in matching.labels)
    return sample.labels


def _keeps_name(matching: VectorMatching) -> bool:
    """True if a comparison that filters keeps the names of the series."""
    return matching.on == (NAME_LABEL in matching.labels)


def match_one_to_one(
    matching: VectorMatching, left: InstantVector, right: InstantVector
) -> list[tuple[Sample, Sample | None]]:
    """Return each series of the left side with its partner on the right side, or None.

    Raises MatchingError if two series of the right side have the same key. Two series of the left side may have the
    same partner: `OneToOneCheck` refuses them.
    """
    partners: dict[Labels, Sample] = {}
    for sample in right:
        key = matching_key(matching, sample)
        if key in partners:
            first, second = partners[key].notation(), sample.notation()
            raise MatchingError(f"{first} and {second} on the right match the same series")
        partners[key] = sample
    return [(sample, partners.get(matching_key(matching, sample))) for sample in left]


class OneToOneCheck:
    """Refuses a second series of the left side with the same key. One for each evaluation of an operation."""

    def __init__(self, matching: VectorMatching) -> None:
        self._matching = matching
        self._taken: dict[Labels, Sample] = {}

    def take(self, sample: Sample) -> None:
        """Take the next matched series. Raise MatchingError if another one has the same key."""
        first = self._taken.setdefault(matching_key(self._matching, sample), sample)
        if first is not sample:
            raise MatchingError(f"{first.notation()} and {sample.notation()} on the left match the same series")


def _between_vectors(operation: BinaryOperation, left: InstantVector, right: InstantVector) -> InstantVector:
    result: InstantVector = []
    matching = operation.matching
    filters = operation.operator in COMPARE and not operation.return_bool
    one_to_one = OneToOneCheck(matching)
    for sample, partner in match_one_to_one(matching, left, right) if left else ():
        if partner is None or (filters and not COMPARE[operation.operator](sample.value, partner.value)):
            continue
        one_to_one.take(sample)
        labels = tuple(pair for pair in matching_key(matching, sample) if pair[0] != NAME_LABEL)
        if operation.operator in ARITHMETIC:
            result.append(Sample("", labels, ARITHMETIC[operation.operator](sample.value, partner.value)))
        elif operation.return_bool:
            result.append(Sample("", labels, float(COMPARE[operation.operator](sample.value, partner.value))))
        else:
            result.append(Sample(sample.name if _keeps_name(matching) else "", labels, sample.value))
    return result


def _set_operation(operation: BinaryOperation, left: InstantVector, right: InstantVector) -> InstantVector:
    matching = operation.matching
    if operation.operator == "or":
        mine = {matching_key(matching, sample) for sample in left}
        return left + [sample for sample in right if matching_key(matching, sample) not in mine]
    others = {matching_key(matching, sample) for sample in right}
    wanted = operation.operator == "and"
    return [sample for sample in left if (matching_key(matching, sample) in others) == wanted]


def find_duplicate(vector: InstantVector) -> Sample | None:
    """Return a sample whose name and labels another sample has, too; None if there is none."""
    seen: set[tuple[str, Labels]] = set()
    for sample in vector:
        key = (sample.name, sample.labels)
        if key in seen:
            return sample
        seen.add(key)
    return None


# -- aggregation -------------------------------------------------------------------------------------------------------


def aggregate(aggregation: Aggregation, vector: InstantVector) -> InstantVector:
    """Return one sample for each group of series."""
    groups: dict[Labels, list[float]] = {}
    if not aggregation.labels and not aggregation.without:
        if vector:
            groups[()] = [sample.value for sample in vector]
    else:
        matching = VectorMatching(not aggregation.without, aggregation.labels)
        for sample in vector:
            groups.setdefault(matching_key(matching, sample), []).append(sample.value)
    reduce = _REDUCE[aggregation.operator]
    return [_group_sample(key, reduce(values)) for key, values in groups.items()]


def _group_sample(key: Labels, value: float) -> Sample:
    """Return the sample of a group, whose name is part of the key after `by (__name__)`."""
    if key and key[0][0] == NAME_LABEL:
        return Sample(key[0][1], key[1:], value)
    return Sample("", key, value)


def _min(values: Iterable[float]) -> float:
    """Return the minimum, as PromQL: NaN only if all values are NaN."""
    return min((value for value in values if not math.isnan(value)), default=math.nan)


def _max(values: Iterable[float]) -> float:
    """Return the maximum, as PromQL: NaN only if all values are NaN."""
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def _average(values: list[float]) -> float:
    """Return the mean, also if the sum of finite values overflows."""
    count = len(values)
    total = sum(values)
    if math.isinf(total) and all(map(math.isfinite, values)):
        return sum(value / count for value in values)
    return total / count


_REDUCE: Mapping[str, Callable[[list[float]], float]] = {
    "min": _min,
    "max": _max,
    "sum": sum,
    "avg": _average,
    "count": lambda values: float(len(values)),
}

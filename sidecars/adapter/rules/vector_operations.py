"""PromQL's arithmetic: between numbers, between a number and series, between series; and aggregation. No I/O.

A vector is a list of samples. What has been calculated has lost its name, which is then "".
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sidecars.adapter.exposition.labels import Labels
from sidecars.adapter.exposition.sample import Sample
from sidecars.adapter.rules.ast import Aggregation, Matching, Operation

Vector = list[Sample]
NAME = "__name__"
"""The label that PromQL has for a series' name."""


class MatchingError(Exception):
    """The two sides cannot be matched one-to-one. The text is a phrase."""


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
    except ValueError:  # a negative number's root, or zero to a negative power
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


def between(operation: Operation, left: float | Vector, right: float | Vector) -> float | Vector:
    """What the operation yields. Raises `Unmatched`."""
    if isinstance(left, list) and isinstance(right, list):
        if operation.operator in ("and", "or", "unless"):
            return _sets(operation, left, right)
        return _vectors(operation, left, right)
    if isinstance(left, list) or isinstance(right, list):
        return _with_number(operation, left, right)
    if operation.operator in ARITHMETIC:
        return ARITHMETIC[operation.operator](left, right)
    return float(COMPARE[operation.operator](left, right))


def negated(value: float | Vector) -> float | Vector:
    if isinstance(value, list):
        return [sample.derive(-sample.value) for sample in value]
    return -value


def _with_number(operation: Operation, left: float | Vector, right: float | Vector) -> Vector:
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
    if operation.as_bool:
        return [sample.derive(float(compare(a, b))) for sample, a, b in pairs]
    return [sample for sample, a, b in pairs if compare(a, b)]


def group_key(matching: Matching, sample: Sample) -> Labels:
    """The labels by which a series is matched. Its name is one of them only where `on` or `by` says `__name__`."""
    if matching.on:
        kept = tuple(pair for pair in sample.labels if pair[0] in matching.labels)
        return ((NAME, sample.name), *kept) if sample.name and NAME in matching.labels else kept
    if matching.labels:
        return tuple(pair for pair in sample.labels if pair[0] not in matching.labels)
    return sample.labels


def _of_group(key: Labels, value: float) -> Sample:
    """The series of a group; its name is the group's."""
    if key and key[0][0] == NAME:
        return Sample(key[0][1], key[1:], value)
    return Sample("", key, value)


def _keeps_name(matching: Matching) -> bool:
    """True if series that are left by a comparison keep their names."""
    return matching.on == (NAME in matching.labels)


def matched(matching: Matching, left: Vector, right: Vector) -> list[tuple[Sample, Sample | None]]:
    """Each series of the left side with its partner of the right side, if there is one. Raises `Unmatched`."""
    partners: dict[Labels, Sample] = {}
    for sample in right:
        key = group_key(matching, sample)
        if key in partners:
            raise MatchingError(f"{shown(partners[key])} and {shown(sample)} on the right match the same series")
        partners[key] = sample
    return [(sample, partners.get(group_key(matching, sample))) for sample in left]


class OneToOne:
    """Refuses a second series of the left side for one of the right side."""

    def __init__(self, matching: Matching) -> None:
        self._matching = matching
        self._taken: dict[Labels, Sample] = {}

    def take(self, sample: Sample) -> None:
        first = self._taken.setdefault(group_key(self._matching, sample), sample)
        if first is not sample:
            raise MatchingError(f"{shown(first)} and {shown(sample)} on the left match the same series")


def _vectors(operation: Operation, left: Vector, right: Vector) -> Vector:
    result: Vector = []
    matching = operation.matching
    filters = operation.operator in COMPARE and not operation.as_bool
    one_to_one = OneToOne(matching)
    for mine, other in matched(matching, left, right) if left else ():
        if other is None or (filters and not COMPARE[operation.operator](mine.value, other.value)):
            continue
        one_to_one.take(mine)
        labels = tuple(pair for pair in group_key(matching, mine) if pair[0] != NAME)
        if operation.operator in ARITHMETIC:
            result.append(Sample("", labels, ARITHMETIC[operation.operator](mine.value, other.value)))
        elif operation.as_bool:
            result.append(Sample("", labels, float(COMPARE[operation.operator](mine.value, other.value))))
        else:
            result.append(Sample(mine.name if _keeps_name(matching) else "", labels, mine.value))
    return result


def _sets(operation: Operation, left: Vector, right: Vector) -> Vector:
    matching = operation.matching
    if operation.operator == "or":
        mine = {group_key(matching, sample) for sample in left}
        return left + [sample for sample in right if group_key(matching, sample) not in mine]
    others = {group_key(matching, sample) for sample in right}
    wanted = operation.operator == "and"
    return [sample for sample in left if (group_key(matching, sample) in others) == wanted]


def aggregated(aggregation: Aggregation, vector: Vector) -> Vector:
    groups: dict[Labels, list[float]] = {}
    if not aggregation.labels and not aggregation.without:
        if vector:
            groups[()] = [sample.value for sample in vector]
    else:
        matching = Matching(not aggregation.without, aggregation.labels)
        for sample in vector:
            groups.setdefault(group_key(matching, sample), []).append(sample.value)
    reduce = _REDUCE[aggregation.operator]
    return [_of_group(key, reduce(values)) for key, values in groups.items()]


def _least(values: Iterable[float]) -> float:
    """NaN only where there is nothing else."""
    return min((value for value in values if not math.isnan(value)), default=math.nan)


def _greatest(values: Iterable[float]) -> float:
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def _mean(values: list[float]) -> float:
    count = len(values)
    total = sum(values)
    if math.isinf(total) and all(map(math.isfinite, values)):
        return sum(value / count for value in values)
    return total / count


_REDUCE: Mapping[str, Callable[[list[float]], float]] = {
    "min": _least,
    "max": _greatest,
    "sum": sum,
    "avg": _mean,
    "count": lambda values: float(len(values)),
}


def duplicate(vector: Vector) -> Sample | None:
    """A series that is there twice, once names are lost."""
    seen: set[tuple[str, Labels]] = set()
    for sample in vector:
        key = (sample.name, sample.labels)
        if key in seen:
            return sample
        seen.add(key)
    return None


def shown(sample: Sample) -> str:
    """`name{label="value"}` for people: escaped, and "" for what has neither name nor labels."""
    if not sample.labels:
        return sample.name
    return f"{sample.name}{{{','.join(f'{name}={quoted(value)}' for name, value in sample.labels)}}}"


def quoted(value: str) -> str:
    """A label's value for people: nothing in it can move a terminal's cursor."""
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    if not escaped.isprintable():
        escaped = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in escaped)
    return f'"{escaped}"'

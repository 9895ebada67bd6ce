"""The abstract syntax tree of an expression: the nodes that `parser` builds and `expression_evaluator` evaluates.

No I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

ValueType = Literal["scalar", "instant vector", "range vector"]
"""PromQL's types of values: a number, a value for each series, or the values of each series over a range of time."""


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression. `start` and `end` are offsets in the rules' text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class NumberLiteral(Node):
    value: float


@dataclass(frozen=True, slots=True)
class LabelMatcher:
    """A condition of a selector. `matches` gets the label's value, "" for a label that does not exist."""

    label: str
    operator: str
    value: str
    matches: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class VectorSelector(Node):
    """The selector of an instant vector, or of a range vector if there is a `range`, in seconds.

    `name` is the metric's name, "" if only matchers select.
    """

    name: str
    matchers: tuple[LabelMatcher, ...]
    range: float | None


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A call of a function of `FUNCTIONS`."""

    function: str
    argument: Expression | None


@dataclass(frozen=True, slots=True)
class Aggregation(Node):
    """An aggregation `by` the labels, or `without` them."""

    operator: str
    argument: Expression
    labels: tuple[str, ...]
    without: bool


@dataclass(frozen=True, slots=True)
class Negation(Node):
    operand: Expression


@dataclass(frozen=True, slots=True)
class VectorMatching:
    """The labels that must be equal in two series that match: `on` these labels, or all labels `ignoring` these."""

    on: bool
    labels: tuple[str, ...]


ALL_LABELS = VectorMatching(on=False, labels=())


@dataclass(frozen=True, slots=True)
class BinaryOperation(Node):
    """An operation on two sides. `return_bool`: a comparison that yields 0 or 1, and filters nothing."""

    operator: str
    left: Expression
    right: Expression
    return_bool: bool
    matching: VectorMatching


Expression = NumberLiteral | VectorSelector | Call | Aggregation | Negation | BinaryOperation

COMPARISON_OPERATORS = frozenset({"==", "!=", "<", ">", "<=", ">="})
SET_OPERATORS = frozenset({"and", "or", "unless"})
AGGREGATION_OPERATORS = ("min", "max", "sum", "avg", "count")

FUNCTIONS: dict[str, tuple[ValueType | None, ValueType]] = {
    "rate": ("range vector", "instant vector"),
    "increase": ("range vector", "instant vector"),
    "delta": ("range vector", "instant vector"),
    "stale": ("range vector", "instant vector"),
    "absent": ("instant vector", "instant vector"),
    "age": ("instant vector", "instant vector"),
    "vector": ("scalar", "instant vector"),
    "time": (None, "scalar"),
}
"""The type of each function's argument (None: it has no argument), and the type of its value."""


def value_type(expression: Expression) -> ValueType:
    """Return the type of the expression's value."""
    match expression:
        case NumberLiteral():
            return "scalar"
        case VectorSelector(range=duration):
            return "instant vector" if duration is None else "range vector"
        case Call(function=function):
            return FUNCTIONS[function][1]
        case Aggregation():
            return "instant vector"
        case Negation(operand=operand):
            return value_type(operand)
        case BinaryOperation(left=left, right=right):
            return "scalar" if value_type(left) == value_type(right) == "scalar" else "instant vector"


def find_selectors(expression: Expression) -> list[VectorSelector]:
    """Return all selectors in the expression, from left to right."""
    match expression:
        case VectorSelector():
            return [expression]
        case Call(argument=argument):
            return find_selectors(argument) if argument else []
        case Aggregation(argument=argument):
            return find_selectors(argument)
        case Negation(operand=operand):
            return find_selectors(operand)
        case BinaryOperation(left=left, right=right):
            return find_selectors(left) + find_selectors(right)
        case NumberLiteral():
            return []

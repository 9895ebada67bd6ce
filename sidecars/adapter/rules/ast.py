"""What an expression is made of: the nodes that `grammar` builds and `evaluate` works out. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Type = Literal["scalar", "vector", "range"]
"""A number, a value for each series, or each series's values over a range of time."""


@dataclass(frozen=True, slots=True)
class Node:
    """`start` and `end` are offsets in the rules' text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Number(Node):
    value: float


@dataclass(frozen=True, slots=True)
class Matcher:
    """One of a selector's conditions. `test` gets the label's value, "" for a label that is not there."""

    label: str
    operator: str
    value: str
    test: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Selector(Node):
    """Series by name and labels. `name` is "" where no single name is asked for; `range` is in seconds."""

    name: str
    matchers: tuple[Matcher, ...]
    range: float | None


@dataclass(frozen=True, slots=True)
class Call(Node):
    function: str
    argument: Expression | None


@dataclass(frozen=True, slots=True)
class Aggregation(Node):
    """`labels` are what is kept, or, with `without`, what is left out."""

    operator: str
    argument: Expression
    labels: tuple[str, ...]
    without: bool


@dataclass(frozen=True, slots=True)
class Negation(Node):
    operand: Expression


@dataclass(frozen=True, slots=True)
class Matching:
    """Which labels must be equal for two series to belong together: `on` these, or all but these."""

    on: bool
    labels: tuple[str, ...]


ALL_LABELS = Matching(on=False, labels=())


@dataclass(frozen=True, slots=True)
class Operation(Node):
    """`as_bool`: a comparison that yields 0 or 1, and filters nothing."""

    operator: str
    left: Expression
    right: Expression
    as_bool: bool
    matching: Matching


Expression = Number | Selector | Call | Aggregation | Negation | Operation

COMPARISONS = frozenset({"==", "!=", "<", ">", "<=", ">="})
SETS = frozenset({"and", "or", "unless"})
AGGREGATIONS = ("min", "max", "sum", "avg", "count")

FUNCTIONS: dict[str, tuple[Type | None, Type]] = {
    "rate": ("range", "vector"),
    "increase": ("range", "vector"),
    "delta": ("range", "vector"),
    "stale": ("range", "vector"),
    "absent": ("vector", "vector"),
    "age": ("vector", "vector"),
    "vector": ("scalar", "vector"),
    "time": (None, "scalar"),
}
"""What each function takes and gives."""


def type_of(expression: Expression) -> Type:
    match expression:
        case Number():
            return "scalar"
        case Selector(range=duration):
            return "vector" if duration is None else "range"
        case Call(function=function):
            return FUNCTIONS[function][1]
        case Aggregation():
            return "vector"
        case Negation(operand=operand):
            return type_of(operand)
        case Operation(left=left, right=right):
            return "scalar" if type_of(left) == type_of(right) == "scalar" else "vector"


def selectors(expression: Expression) -> list[Selector]:
    """All selectors in it, from left to right."""
    match expression:
        case Selector():
            return [expression]
        case Call(argument=argument):
            return selectors(argument) if argument else []
        case Aggregation(argument=argument):
            return selectors(argument)
        case Negation(operand=operand):
            return selectors(operand)
        case Operation(left=left, right=right):
            return selectors(left) + selectors(right)
        case Number():
            return []

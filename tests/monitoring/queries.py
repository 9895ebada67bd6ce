"""What a PromQL expression asks for: the selectors in it, with their metric and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import promql_parser

VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m", "$namespace": ".+", "$pod": ".+"}


@dataclass(frozen=True)
class Selector:
    """A selector of series: the metric, and the labels that it matches with their values."""

    metric: str
    matchers: tuple[tuple[str, str], ...]


def with_values(expression: str) -> str:
    """Return the expression with values in the place of Grafana's variables."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def selectors(expression: str) -> list[Selector]:
    """Return the selectors of an expression. Raises ValueError if it is not PromQL, types included."""
    found: list[Selector] = []

    def note(node: Any) -> bool:
        selector = node.vector_selector if isinstance(node, promql_parser.MatrixSelector) else node
        if isinstance(selector, promql_parser.VectorSelector):
            matchers = tuple((one.name, one.value) for one in selector.matchers.matchers)
            found.append(Selector(selector.name or "", matchers))
        return True

    promql_parser.walk(promql_parser.parse(with_values(expression)), pre_visit=note)
    return found


def grouping_labels(expression: str) -> set[str]:
    """Return the labels that the expression groups, joins or keeps by."""
    found: set[str] = set()

    def note(node: Any) -> bool:
        modifier = getattr(node, "modifier", None)
        for part in (modifier, getattr(modifier, "matching", None)):
            found.update(getattr(part, "labels", ()))
        found.update(getattr(modifier, "group_labels", None) or ())
        return True

    promql_parser.walk(promql_parser.parse(with_values(expression)), pre_visit=note)
    return found

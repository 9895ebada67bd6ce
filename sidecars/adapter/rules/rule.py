"""A rule as it is written, `memory: used_bytes / max_bytes < 0.9 warn`, and the parser of a text of rules. No I/O.

One rule a line, or several separated by `;`; `#` begins a comment. A rule describes the *healthy* state:

    rule     = [ name ":" ] expression [ severity ]
    severity = "warn" | "fail"                          fail if it is not written

The expression (`parser`) is either a comparison, which must hold for every series, or it has a value that must exist
and must not be zero. docs/reference/rules.md is the reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sidecars.adapter.rules.ast import (
    ALL_LABELS,
    COMPARISON_OPERATORS,
    SET_OPERATORS,
    BinaryOperation,
    Call,
    Expression,
    VectorMatching,
    find_selectors,
    value_type,
)
from sidecars.adapter.rules.lexer import BadRule
from sidecars.adapter.rules.parser import SEVERITIES, ExpressionParser

Severity = Literal["warn", "fail"]

MAX_LENGTH = 2**20  # characters of all rules: as much as a ConfigMap holds
_MAX_NAME = 63
_NAME = re.compile(r"[\s;]*+(?:#[^\n]*+[\s;]*+)*+(?:([A-Za-z0-9_][A-Za-z0-9_.-]*)[ \t]*:)?")
_SOMETHING = re.compile(r"\S")
_NOT_OF_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_HINTS = {"stale": "== 0", "age": "< 60s"}
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    name        as it is written, else made from the expression. Letters, digits, `_`, `.` and `-`, at most 63
    severity    the status of the app if the rule is broken
    text        the expression as it is written, without name and severity
    left        the values that are compared
    comparison  the operator between `left` and `right`, one of == != < > <= >=; "" if `left` only must not be zero
    right       a number, or series, which `matching` matches one-to-one with those of `left`
    source      the text that the offsets of the nodes refer to
    """

    name: str
    severity: Severity
    text: str
    left: Expression
    comparison: str
    right: Expression | None
    matching: VectorMatching
    source: str

    def text_of(self, node: Expression) -> str:
        """Return a part of the rule as it is written, on one line."""
        return text_of(self.source, node)


def text_of(source: str, node: Expression) -> str:
    """Return a part of the source as it is written, on one line."""
    return " ".join(source[node.start : node.end].split())


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Parse all rules of the text, at least one. Their names are unique. Raises BadRule at the first mistake."""
    if len(text) > MAX_LENGTH:
        raise BadRule(text, MAX_LENGTH, f"rules have at most {MAX_LENGTH} characters together")
    rules: list[Rule] = []
    names: set[str] = set()
    position = 0
    while True:
        start = _NAME.match(text, position)
        assert start  # noqa: S101 - it matches the empty string, too
        if not start[1] and not _SOMETHING.search(text, start.end()):
            break
        rule, position = _parse_rule(text, start)
        if rule.name in names:
            place = start.start(1) if start[1] else start.end()
            raise BadRule(text, place, f"there are two rules of the name {rule.name}")
        names.add(rule.name)
        rules.append(rule)
    if not rules:
        raise BadRule(text, len(text), 'there is no rule; one looks like "queue: queue_length < 100 fail"')
    return tuple(rules)


def _parse_rule(text: str, start: re.Match[str]) -> tuple[Rule, int]:
    """Parse the rule after its optional name. Return it, and the offset of its end."""
    if start[1] and len(start[1]) > _MAX_NAME:
        raise BadRule(text, start.start(1), f"a rule's name has at most {_MAX_NAME} characters")
    parser = ExpressionParser(text, start.end())
    expression = parser.expression()
    written = " ".join(text[start.end() : parser.end].split())  # with parentheses around it, which are not in the node
    severity: Severity = "fail"
    word = parser.next
    if word.text in SEVERITIES:
        severity = "warn" if word.text == "warn" else "fail"
        parser.advance()
    if parser.next.kind != "end":
        raise parser.error(parser.next, f"expected warn, fail or the end of the rule, but there is {parser.next.text}")
    end = parser.next.end
    name = start[1] or _NOT_OF_NAMES.sub("_", written).strip("_.-")[:_MAX_NAME] or "rule"
    _check_rule(text, expression)
    if not (
        isinstance(expression, BinaryOperation) and _filters(expression) and expression.operator in COMPARISON_OPERATORS
    ):
        return Rule(name, severity, written, expression, "", None, ALL_LABELS, text), end
    left, comparison, right = expression.left, expression.operator, expression.right
    if value_type(left) == "scalar":  # `0 < up` is evaluated as `up > 0`
        left, comparison, right = right, _MIRRORED[comparison], left
    return Rule(name, severity, written, left, comparison, right, expression.matching, text), end


def _check_rule(text: str, expression: Expression) -> None:
    """Raise BadRule if the expression can never be evaluated as a rule, or has another meaning than expected."""
    if value_type(expression) == "range vector":
        raise BadRule(text, expression.start, "a range stands in rate, increase, delta or stale only")
    if not find_selectors(expression):
        raise BadRule(text, expression.start, "this rule looks at no metric")
    if isinstance(expression, BinaryOperation) and expression.operator in SET_OPERATORS and _filters(expression):
        reason = f"a rule is one comparison: instead of {expression.operator}, write two rules, or compare with bool"
        raise BadRule(text, expression.start, reason)
    if isinstance(expression, Call) and expression.function in _HINTS:
        reason = f"say what is healthy: {expression.function}(…) {_HINTS[expression.function]}"
        raise BadRule(text, expression.start, reason)


def _filters(expression: Expression) -> bool:
    """True if the expression may leave out series because of their values."""
    if not isinstance(expression, BinaryOperation):
        return False
    if expression.operator in COMPARISON_OPERATORS:
        return not expression.return_bool
    return expression.operator in SET_OPERATORS and (_filters(expression.left) or _filters(expression.right))

"""The rules of a verdict, as they are written: `memory: used_bytes / max_bytes < 0.9 warn`. No I/O.

One rule a line, or several separated by `;`; `#` begins a comment. A rule says what is *healthy*:

    rule     = [ name ":" ] expression [ severity ]
    severity = "warn" | "fail"                          fail where it is not written

The expression (see `grammar`) is either a comparison, which must hold for every series, or has a value that must be
there and not be zero. docs/rules.md is the reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sidecars.adapter.rules.ast import (
    ALL_LABELS,
    COMPARISONS,
    SETS,
    Call,
    Expression,
    Matching,
    Operation,
    selectors,
    type_of,
)
from sidecars.adapter.rules.lexer import BadRule
from sidecars.adapter.rules.parser import SEVERITIES, Grammar

Severity = Literal["warn", "fail"]

_NAME = re.compile(r"[\s;]*(?:#[^\n]*[\s;]*)*(?:([A-Za-z0-9_][A-Za-z0-9_.-]*)[ \t]*:)?")
_SOMETHING = re.compile(r"\S")
_OTHER = re.compile(r"[^A-Za-z0-9_.-]+")
LONGEST = 2**20  # characters of all rules: as much as a ConfigMap holds
_LONGEST_NAME = 63
_HINTS = {"stale": "== 0", "age": "< 60s"}
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    name        as it is written; without one, made from the expression. Letters, digits, `_`, `.` and `-`, at most 63
    severity    what a broken rule does to the verdict
    text        the expression as it is written, without name and severity
    left        the values that are judged
    comparison  how they compare with `right`, one of == != < > <= >=; "" where they must only not be zero
    right       what they are compared with: a number, or series, which `matching` brings together one-to-one
    source      the text that the nodes' offsets belong to
    """

    name: str
    severity: Severity
    text: str
    left: Expression
    comparison: str
    right: Expression | None
    matching: Matching
    source: str

    def written(self, node: Expression) -> str:
        """A part of the rule as it stands in the text."""
        return written(self.source, node)


def written(source: str, node: Expression) -> str:
    """A part of the text, on one line."""
    return " ".join(source[node.start : node.end].split())


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Return all rules of the text, at least one. Raises `BadRule`: the first mistake; names are unique."""
    if len(text) > LONGEST:
        raise BadRule(text, LONGEST, f"rules have at most {LONGEST} characters together")
    rules: list[Rule] = []
    names: set[str] = set()
    position = 0
    while True:
        start = _NAME.match(text, position)
        assert start  # noqa: S101 - it matches nothing at all, too
        if not start[1] and not _SOMETHING.search(text, start.end()):
            break
        rule, position = _rule(text, start)
        if rule.name in names:
            where = start.start(1) if start[1] else start.end()
            raise BadRule(text, where, f"there are two rules of the name {rule.name}")
        names.add(rule.name)
        rules.append(rule)
    if not rules:
        raise BadRule(text, len(text), 'there is no rule; one looks like "queue: queue_length < 100 fail"')
    return tuple(rules)


def _rule(text: str, start: re.Match[str]) -> tuple[Rule, int]:
    """The rule that begins there, and where it ends."""
    if start[1] and len(start[1]) > _LONGEST_NAME:
        raise BadRule(text, start.start(1), f"a rule's name has at most {_LONGEST_NAME} characters")
    grammar = Grammar(text, start.end())
    expression = grammar.expression()
    whole = " ".join(text[start.end() : grammar.before].split())  # with parentheses around it, which are no node
    severity: Severity = "fail"
    word = grammar.next
    if word.text in SEVERITIES:
        severity = "warn" if word.text == "warn" else "fail"
        grammar.advance()
    if grammar.next.kind != "end":
        raise grammar.fail(
            grammar.next, f"expected warn, fail or the end of the rule, but there is {grammar.next.text}"
        )
    end = grammar.next.end
    name = start[1] or _OTHER.sub("_", whole).strip("_.-")[:_LONGEST_NAME] or "rule"
    _judgeable(text, expression)
    if not (isinstance(expression, Operation) and _filters(expression) and expression.operator in COMPARISONS):
        return Rule(name, severity, whole, expression, "", None, ALL_LABELS, text), end
    left, comparison, right = expression.left, expression.operator, expression.right
    if type_of(left) == "scalar":  # `0 < up` is judged as `up > 0`
        left, comparison, right = right, _MIRRORED[comparison], left
    return Rule(name, severity, whole, left, comparison, right, expression.matching, text), end


def _judgeable(text: str, expression: Expression) -> None:
    """Refuse what could never be judged, or would be judged in an unexpected way."""
    if type_of(expression) == "range":
        raise BadRule(text, expression.start, "a range stands in rate, increase, delta or stale only")
    if not selectors(expression):
        raise BadRule(text, expression.start, "this rule looks at no metric")
    if isinstance(expression, Operation) and expression.operator in SETS and _filters(expression):
        why = f"a rule is one comparison: instead of {expression.operator}, write two rules, or compare with bool"
        raise BadRule(text, expression.start, why)
    if isinstance(expression, Call) and expression.function in _HINTS:
        raise BadRule(
            text, expression.start, f"say what is healthy: {expression.function}(…) {_HINTS[expression.function]}"
        )


def _filters(expression: Expression) -> bool:
    """Whether it may leave out series because of their values."""
    if not isinstance(expression, Operation):
        return False
    if expression.operator in COMPARISONS:
        return not expression.as_bool
    return expression.operator in SETS and (_filters(expression.left) or _filters(expression.right))

"""The rules of a verdict, as they are written: `memory: used_bytes / max_bytes < 0.9 warn`. No I/O.

One rule a line, or several separated by `;`; `#` begins a comment. A rule says what is *healthy*:

    rule       = [ name ":" ] expression [ severity ]
    severity   = "warn" | "fail"               fail where it is not written
    expression = PromQL's, the part of it that docs/rules.md lists
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Severity = Literal["warn", "fail"]


class BadRule(ValueError):
    """The text is no rule. `line` and `column` count from 1; `why` is a phrase.

    `str()` has three lines: the sentence, the line of the text, and a caret under the column.
    """

    def __init__(self, text: str, line: int, column: int, why: str) -> None:
        source = text.split("\n")[line - 1]
        super().__init__(f"line {line}, column {column}: {why}\n  {source}\n  {' ' * (column - 1)}^")
        self.line = line
        self.column = column
        self.why = why


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `text` is its expression as it was written, without name and severity."""

    name: str
    severity: Severity
    text: str


_RULE = re.compile(r"\s*(\w+):\s*(\w+)\s*(<|>|==)\s*([\d.]+)\s*(warn|fail)?\s*")


def parse(text: str) -> tuple[Rule, ...]:
    """All rules of the text, at least one. Raises `BadRule`: the first mistake; names are unique."""
    rules = []
    for number, line in enumerate(text.replace(";", "\n").split("\n"), 1):
        match = _RULE.fullmatch(line)
        if not match:
            raise BadRule(text.replace(";", "\n"), number, 1, "this is no rule")
        name, metric, comparison, threshold, severity = match.groups()
        rules.append(Rule(name, "warn" if severity == "warn" else "fail", f"{metric} {comparison} {threshold}"))
    return tuple(rules)

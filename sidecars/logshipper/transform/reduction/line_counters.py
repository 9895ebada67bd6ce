r"""Counters from lines: `COUNT=errors=/\bERROR\b/,answers=/" (?P<status>[1-5]\d\d) /`.

A counter counts the events in which its regex is found, as the app wrote them: also those that `KEEP`, `DROP` or
`SAMPLE` drop. A named group in the regex is a label, whose value is the text that the group has matched.

The lines come from the app, so all that they can cause is bounded:

- The regexes are RE2's: their time is linear. One search goes through all events of a chunk.
- A label has at most MOST_VALUES values in the life of the process, of LONGEST_VALUE characters each; further ones
  count as `other`.
- A value is taken from the event after `REDACT`, which then does not show what no record shows. If the regex is not
  found there any more, the value is `redacted`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from threading import Lock
from typing import NamedTuple

from sidecars.logshipper.model.records import Match
from sidecars.logshipper.transform.patterns.linear_regex import Finder, compile_re2

MOST_COUNTERS, MOST_VALUES, LONGEST_VALUE = 20, 20, 64
OTHER, REDACTED = "other", "redacted"

_ITEM = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]{0,63})=/((?:[^/\\]|\\.)++)/\s*(?:,\s*|\Z)", re.DOTALL)
_LABEL = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*")
_TAKEN = ("input", "name")


class Rule(NamedTuple):
    """One counter: its name, its regex, and its label; "" without one."""

    name: str
    pattern: str
    label: str


def parse_count(text: str) -> list[Rule]:
    """Return the counters of a COUNT setting. Raises ValueError."""
    rules: list[Rule] = []
    rest = text.strip()
    while rest:
        match = _ITEM.match(rest)
        if not match:
            raise ValueError(f"expected name=/regex/ pairs separated by commas, at: {rest}")
        name, pattern = match[1], match[2].replace(r"\/", "/")
        if name in (rule.name for rule in rules):
            raise ValueError(f"{name} is there twice: each counter has a name of its own")
        rules.append(Rule(name, pattern, _label(name, pattern)))
        rest = rest[match.end() :]
    if len(rules) > MOST_COUNTERS:
        raise ValueError(f"expected at most {MOST_COUNTERS} counters")
    return rules


def _label(name: str, pattern: str) -> str:
    labels = [label.decode() for label in compile_re2(pattern).groupindex]
    if len(labels) > 1:
        raise ValueError(f"{name} has the named groups {', '.join(sorted(labels))}: one of them can be a label")
    for label in labels:
        if label in _TAKEN or not _LABEL.fullmatch(label):
            raise ValueError(f"{name} has the named group {label}, which is no label of its own: give it another name")
    return labels[0] if labels else ""


class LineCounters:
    """The counters of one input. Owned by its pipeline. It remembers the values of labels, for all threads."""

    def __init__(self, text: str) -> None:
        rules = parse_count(text)
        self._counters = [_Counter(rule) for rule in rules]
        self.unlabelled = [Match(rule.name) for rule in rules if not rule.label]
        """The counters that have a value before anything has matched: 0."""

    def count(self, texts: Sequence[str], clean: Callable[[Sequence[int]], Sequence[str]]) -> dict[Match, int]:
        """Return how many events each counter has found. `clean` returns the redacted texts of events."""
        found: Counter[Match] = Counter()
        for counter in self._counters:
            counter.count(texts, clean, found)
        return dict(found)


class _Counter:
    """One counter."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._finder = Finder(rule.pattern)
        self._regex = compile_re2(rule.pattern) if rule.label else None
        self._group = self._regex.groupindex[rule.label.encode()] if self._regex else 0
        self._values: set[str] = set()
        self._admitting = Lock()  # large batches are made by threads

    def count(
        self, texts: Sequence[str], clean: Callable[[Sequence[int]], Sequence[str]], found: Counter[Match]
    ) -> None:
        indices = self._finder.matching(texts)
        if not indices:
            return
        if self._regex is None:
            found[Match(self._rule.name)] += len(indices)
            return
        for value, count in Counter(map(self._value, clean(indices))).items():
            found[Match(self._rule.name, self._rule.label, self._admitted(value))] += count

    def _value(self, text: str) -> str:
        match = self._regex.search(text.encode()) if self._regex else None
        if match is None:
            return REDACTED
        value = match.groups()[self._group - 1] or b""
        return value[: 4 * LONGEST_VALUE].decode("utf-8", "replace")[:LONGEST_VALUE]

    def _admitted(self, value: str) -> str:
        """Return the value as a label, or OTHER."""
        shown = "".join(character if character.isprintable() else "_" for character in value)
        if shown in self._values or shown in (REDACTED, OTHER, ""):
            return shown
        with self._admitting:
            if len(self._values) >= MOST_VALUES:
                return OTHER
            self._values.add(shown)
        return shown

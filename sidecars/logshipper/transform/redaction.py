"""Blackening what must not leave: presets by name, and users' regexes, in linear time.

All patterns together are searched for at once through all texts: most have none of it, and are done with. Where one may
be, each rule looks for itself: it replaces what its regex matches, or only what its groups match if it has any, by its
*token*, such as `[email]`, which is the same for ever. Tokens are never looked into again. It is repeated until no rule
finds anything more, since what is left of a text may match where the whole did not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from sidecars.logshipper.model.field_columns import FieldColumns
from sidecars.logshipper.transform import linear_regex, redaction_presets
from sidecars.logshipper.transform.parsers import may_nest_deeply
from sidecars.logshipper.transform.redaction_presets import CHECKS, IN_DOCUMENTS, PRESETS, SETS, Spans

_ROUNDS = 8
_TOKEN = "redacted"  # noqa: S105 - of users' regexes; and of a whole text in which the rounds have no end


def parse_redact(raw: str) -> list[str]:
    """The parts of a REDACT setting: names, and regexes between slashes. Raises ValueError."""
    found = []
    rest = raw.strip()
    while rest:
        if rest.startswith("/"):
            match = re.match(r"/((?:[^/\\]|\\.)+)/\s*(?:,\s*|\Z)", rest, re.DOTALL)
            if not match:
                raise ValueError(f"expected a regex between slashes, then a comma or the end, at: {rest}")
            found.append("/" + match[1].replace(r"\/", "/"))
        else:
            match = re.match(r"([A-Za-z0-9_-]+)\s*(?:,\s*|\Z)", rest)
            if not match:
                raise ValueError(f"expected names between commas, and regexes between slashes, at: {rest}")
            if match[1] not in {*PRESETS, *SETS}:
                raise ValueError(f"{match[1]} is not known; there are {', '.join([*PRESETS, *SETS])}, and /regex/")
            found += SETS.get(match[1], (match[1],))
        rest = rest[match.end() :]
    return list(dict.fromkeys(found))


class Redactor:
    """What a REDACT setting asks for. Raises ValueError when it cannot be."""

    def __init__(self, raw: str) -> None:
        wanted = parse_redact(raw)
        self._rules = [rule for item in wanted for rule in _rules(item)]
        known = [pattern for item in wanted for pattern in PRESETS.get(item, ())]
        own = [item[1:] for item in wanted if item not in PRESETS]
        # Each with its own: together they would need more states than RE2 has room for, and take fifty times as long.
        self._finders = [_finder(patterns) for patterns in (known, own) if patterns]
        in_documents = [pattern for item in wanted for pattern in IN_DOCUMENTS.get(item, ())]
        self._in_documents = [_finder(in_documents)] if in_documents else []
        tokens = sorted({rule.token for rule in self._rules} | {_TOKEN})
        self._tokens = re.compile(rf"(\[(?:{'|'.join(tokens)})\])".encode())

    def redact_text(self, text: str) -> str:
        return self.redact_texts([text])[0]

    def redact_texts(self, texts: list[str]) -> list[str]:
        """The texts without what must not leave; the very list when there is none of it."""
        touched = self._touched(texts, self._finders)
        clean = list(texts) if touched else texts
        for _ in range(_ROUNDS):
            if not touched:
                return clean
            touched = self._round(clean, touched)
        for index in touched:
            clean[index] = f"[{_TOKEN}]"
        return clean

    def redact_fields(self, fields: FieldColumns) -> FieldColumns:
        """The fields, with clean texts: what a parser has cut out or unquoted may match where the whole did not."""
        texts = [value for found in fields for value in found.values() if type(value) is str]
        clean = self.redact_texts(texts)
        if clean is texts:
            return fields
        rest = iter(clean)
        return [
            {name: next(rest) if type(value) is str else value for name, value in found.items()} for found in fields
        ]

    # -- JSON ------------------------------------------------------------------------------------------------------

    def redact_json(self, texts: list[str]) -> list[str]:
        """The texts of JSON objects, likewise; they stay JSON.

        Where a text has neither a match nor an escape, its strings have no match either. All others are read and
        written again, and each name, string and number is looked at by itself: what a text says twice is said once.
        """
        touched = set(self._touched(texts, self._finders + self._in_documents))
        touched.update(index for index, text in enumerate(texts) if "\\" in text)
        clean = list(texts) if touched else texts
        documents: dict[int, Any] = {}
        for index in touched:
            try:
                documents[index] = orjson.loads("" if may_nest_deeply(texts[index]) else texts[index])
            except orjson.JSONDecodeError:
                clean[index] = self.redact_text(texts[index])
        strings = list({string for document in documents.values() for string in _strings(document)})
        changes = {old: new for old, new in zip(strings, self.redact_texts(strings), strict=True) if old != new}
        for index, document in documents.items():
            clean[index] = orjson.dumps(_changed(document, changes)).decode()
        return clean

    @staticmethod
    def _touched(texts: list[str], finders: list[linear_regex.Finder]) -> list[int]:
        return sorted({index for finder in finders for index in finder.candidates(texts)})

    def _round(self, texts: list[str], touched: list[int]) -> list[int]:
        """Which of the touched texts have changed."""
        changed = set()
        for rule in self._rules:
            for hit in rule.finder.candidates([texts[index] for index in touched]):
                index = touched[hit]
                clean = self._apply(rule, texts[index].encode()).decode("utf-8", "replace")
                if clean != texts[index]:
                    texts[index] = clean
                    changed.add(index)
        return sorted(changed)

    def _apply(self, rule: _Rule, data: bytes) -> bytes:
        pieces = self._tokens.split(data)
        for at in range(0, len(pieces), 2):  # between the tokens
            pieces[at] = rule.replaced(pieces[at])
        return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: str
    token: str
    regex: Any
    finder: linear_regex.Finder
    check: Callable[[bytes], Spans]  # of what matched: the parts that are really meant

    def replaced(self, piece: bytes) -> bytes:
        clean, at = [], 0
        for start, end in self._spans(piece):
            clean += [piece[at:start], f"[{self.token}]".encode()]
            at = end
        return b"".join([*clean, piece[at:]]) if clean else piece

    def _spans(self, piece: bytes) -> Iterator[tuple[int, int]]:
        for found in self.regex.finditer(piece):
            spans = [span for span in map(found.span, range(1, self.regex.groups + 1)) if span[0] >= 0]
            for start, end in spans or [found.span()]:
                for first, after in self.check(piece[start:end]):
                    if after > first:
                        yield start + first, start + after


def _strings(value: Any) -> Iterator[str]:
    """All that is looked at in a document: strings, names and numbers, and of each name whether it is a secret's."""
    if type(value) is str:
        yield value
    elif type(value) is dict:
        for name, member in value.items():
            yield name
            yield f"{name}={_ANY}"
            yield from _strings(member)
    elif type(value) is list:
        for member in value:
            yield from _strings(member)
    elif type(value) is int or type(value) is float:
        yield str(value)


def _changed(value: Any, changes: Mapping[str, str]) -> Any:
    if type(value) is str:
        return changes.get(value, value)
    if type(value) is dict:
        return {changes.get(name, name): _member(name, member, changes) for name, member in value.items()}
    if type(value) is list:
        return [_changed(member, changes) for member in value]
    if type(value) is int or type(value) is float:
        return changes.get(str(value), value)
    return value


def _member(name: str, value: Any, changes: Mapping[str, str]) -> Any:
    """A member of an object: its name may tell that it is a secret."""
    if value is None or type(value) is bool:
        return value
    told = changes.get(f"{name}={_ANY}", _ANY).rpartition("=")[2]
    return _changed(value, changes) if told == _ANY else told


_ANY = "0"  # any value


def _finder(patterns: Iterable[str]) -> linear_regex.Finder:
    return linear_regex.Finder("|".join(f"(?:{pattern})" for pattern in patterns))


def _rules(item: str) -> Iterator[_Rule]:
    patterns = (item[1:],) if item.startswith("/") else PRESETS[item]
    token, check = (
        (_TOKEN, redaction_presets.whole) if item.startswith("/") else (item, CHECKS.get(item, redaction_presets.whole))
    )
    for pattern in patterns:
        yield _Rule(pattern, token, linear_regex.compile_re2(pattern), linear_regex.Finder(pattern), check)

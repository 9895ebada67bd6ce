"""Redaction: replaces secrets and personal data, found by presets and users' regexes, in linear time.

1. One search for all patterns together goes through all texts. Most texts have no match, and stay as they are.
2. In a text with a possible match, each rule replaces the match of its regex (or of its groups, if it has any) by its
   *token*, such as `[email]`. A token never changes, and no rule looks into one.
   The lines of a PEM key that are events of their own were replaced before that (`pem_keys`).
3. Step 2 is repeated until no rule finds a match, since the rest of a text may match where the whole did not. After
   `_ROUNDS` rounds the whole text is replaced.

A user's regex may look far ahead for each of its matches: `a[^;]*;|a` took 35 s for a line of a MiB with nothing but
`a`. So of one text, or part between two tokens, up to MOST_MATCHES of its matches are replaced by themselves, and then
all that follows together. The text behind it is withheld and never shown, and the same text gives the same result each
time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

from sidecars.logshipper.model.field_columns import FieldColumns
from sidecars.logshipper.transform.parsing.parsers import may_nest_deeply
from sidecars.logshipper.transform.patterns import linear_regex
from sidecars.logshipper.transform.redaction import pem_keys, redaction_presets
from sidecars.logshipper.transform.redaction.redaction_presets import CHECKS, JSON_PATTERNS, PRESETS, SETS, Spans

_ROUNDS = 8
_CONTINUED = 16 * 1024  # characters at the beginning of a text in which a match may end that has begun before it
MOST_MATCHES = 4096  # of a user's regex in one text
_TOKEN = "redacted"  # noqa: S105 - the token of users' regexes, and of a text that is replaced as a whole


def parse_redact(raw: str) -> list[str]:
    """Return the items of a REDACT setting: names, and regexes as `/regex`. Raises ValueError."""
    found = []
    rest = raw.strip()
    while rest:
        if rest.startswith("/"):
            match = re.match(r"/((?:[^/\\]|\\.)++)/\s*(?:,\s*|\Z)", rest, re.DOTALL)
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
    """The rules of one REDACT setting. Owned by a pipeline. Raises ValueError for a bad setting."""

    def __init__(self, raw: str) -> None:
        wanted = parse_redact(raw)
        self._rules = [rule for item in wanted for rule in _rules(item)]
        known = [pattern for item in wanted for pattern in PRESETS.get(item, ())]
        own = [item[1:] for item in wanted if item not in PRESETS]
        # Two searches: one for all would need more states than RE2's memory has, and would take fifty times as long.
        self._finders = [_finder(patterns) for patterns in (known, own) if patterns]
        json_patterns = [pattern for item in wanted for pattern in JSON_PATTERNS.get(item, ())]
        self._json_finders = [_finder(json_patterns)] if json_patterns else []
        tokens = sorted({rule.token for rule in self._rules} | {_TOKEN})
        self.has_keys = "apikey" in wanted
        self.context = pem_keys.CONTEXT  # bytes of `Chunk.before`
        self._tokens = re.compile(rf"(\[(?:{'|'.join(tokens)})\])".encode())

    def redact_text(self, text: str) -> str:
        return self.redact_texts([text])[0]

    def redact_texts(self, texts: list[str]) -> list[str]:
        """Return the redacted texts; the same list if nothing was replaced."""
        candidates = self._candidates(texts, self._finders)
        clean = list(texts) if candidates else texts
        for _ in range(_ROUNDS):
            if not candidates:
                return clean
            candidates = self._round(clean, candidates)
        for index in candidates:
            clean[index] = f"[{_TOKEN}]"
        return clean

    def redact_fields(self, fields: FieldColumns) -> FieldColumns:
        """Return the fields with redacted texts: a value that a parser cut out or unquoted may match by itself."""
        texts = [value for found in fields for value in found.values() if type(value) is str]
        clean = self.redact_texts(texts)
        if clean is texts:
            return fields
        rest = iter(clean)
        return [
            {name: next(rest) if type(value) is str else value for name, value in found.items()} for found in fields
        ]

    def redact_rest(self, before: str, text: str) -> str:
        """Return a text that continues a line, without what a match replaces that has begun `before` in that line."""
        boundary = len(before.encode())
        data = before.encode() + text[:_CONTINUED].encode()
        spans = sorted(span for rule in self._rules for span in rule.spans_across(data, boundary))
        if not spans:
            return text
        clean, at = [], boundary
        for start, end in spans:
            if end > at:
                clean += [data[at:start], f"[{_TOKEN}]".encode()]
                at = end
        return b"".join([*clean, data[at:]]).decode("utf-8", "replace") + text[_CONTINUED:]

    # -- JSON ------------------------------------------------------------------------------------------------------

    def redact_json(self, texts: list[str]) -> list[str]:
        """Return the redacted texts of JSON objects, which stay JSON.

        A text with neither a match nor an escape has no string with a match. Any other text is parsed, each name,
        string and number in it is redacted by itself, and the object is written again.
        """
        candidates = set(self._candidates(texts, self._finders + self._json_finders))
        candidates.update(index for index, text in enumerate(texts) if "\\" in text)
        clean = list(texts) if candidates else texts
        documents: dict[int, Any] = {}
        for index in candidates:
            try:
                documents[index] = orjson.loads("" if may_nest_deeply(texts[index]) else texts[index])
            except orjson.JSONDecodeError:
                clean[index] = self.redact_text(texts[index])
        strings = list({string for document in documents.values() for string in _texts_to_redact(document)})
        changes = {old: new for old, new in zip(strings, self.redact_texts(strings), strict=True) if old != new}
        for index, document in documents.items():
            clean[index] = orjson.dumps(_redacted(document, changes)).decode()
        return clean

    @staticmethod
    def _candidates(texts: list[str], finders: list[linear_regex.Finder]) -> list[int]:
        return sorted({index for finder in finders for index in finder.candidates(texts)})

    def _round(self, texts: list[str], candidates: list[int]) -> list[int]:
        """Apply every rule to the candidates, in place. Return the indices of those that changed."""
        changed = set()
        for rule in self._rules:
            for hit in rule.finder.candidates([texts[index] for index in candidates]):
                index = candidates[hit]
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
    """One pattern, and the token that replaces its matches."""

    pattern: str
    token: str
    regex: linear_regex.Re2Regex
    finder: linear_regex.Finder
    check: Callable[[bytes], Spans]  # returns the parts of a match that are really to be replaced
    most: int | None = None  # matches in a text that are replaced by themselves; None: all

    def replaced(self, piece: bytes) -> bytes:
        clean, at = [], 0
        for start, end in self._spans(piece):
            clean += [piece[at:start], f"[{self.token}]".encode()]
            at = end
        return b"".join([*clean, piece[at:]]) if clean else piece

    def spans_across(self, data: bytes, boundary: int) -> Iterator[tuple[int, int]]:
        """Yield the parts after the boundary that the matches replace that go over it."""
        for found in linear_regex.matches(self.regex, data):
            first, after = found.span()
            if first < boundary < after:
                for start, end in self._parts(found, data):
                    if end > boundary:
                        yield max(start, boundary), end

    def _spans(self, piece: bytes) -> Iterator[tuple[int, int]]:
        for number, found in enumerate(linear_regex.matches(self.regex, piece)):
            if number == self.most:
                yield found.start(), len(piece)
                return
            yield from self._parts(found, piece)

    def _parts(self, found: Any, piece: bytes) -> Iterator[tuple[int, int]]:
        spans = [span for span in map(found.span, range(1, self.regex.groups + 1)) if span[0] >= 0]
        for start, end in spans or [found.span()]:
            for first, after in self.check(piece[start:end]):
                if after > first:
                    yield start + first, start + after


def _texts_to_redact(value: Any) -> Iterator[str]:
    """Yield the texts in a JSON value to redact: strings, names, numbers, and for each name a test for secrets' names.

    The test is the text `name=0`: a rule replaces the 0 if the name is that of a secret.
    """
    if type(value) is str:
        yield value
    elif type(value) is dict:
        for name, member in value.items():
            yield name
            yield f"{name}={_ANY_VALUE}"
            yield from _texts_to_redact(member)
    elif type(value) is list:
        for before, member in pairwise(["", *value]):
            yield from _texts_to_redact(member)
            if _is_option(before) and type(member) is str:
                yield f"{before}={_ANY_VALUE}"
    elif type(value) is int or type(value) is float:
        yield str(value)


def _redacted(value: Any, changes: Mapping[str, str]) -> Any:
    if type(value) is str:
        return changes.get(value, value)
    if type(value) is dict:
        return {changes.get(name, name): _redacted_member(name, member, changes) for name, member in value.items()}
    if type(value) is list:
        return [
            _redacted_member(before, member, changes) if _is_option(before) else _redacted(member, changes)
            for before, member in pairwise(["", *value])
        ]
    if type(value) is int or type(value) is float:
        return changes.get(str(value), value)
    return value


def _is_option(value: Any) -> bool:
    """Return True if the value may be an option of a command line, whose value is the next item of the array."""
    return type(value) is str and value.startswith("-")


def _redacted_member(name: str, value: Any, changes: Mapping[str, str]) -> Any:
    """Return the redacted value of an object's member. The name may be that of a secret."""
    if value is None or type(value) is bool:
        return value
    replacement = changes.get(f"{name}={_ANY_VALUE}", _ANY_VALUE).rpartition("=")[2]
    return _redacted(value, changes) if replacement == _ANY_VALUE else replacement


_ANY_VALUE = "0"  # stands for any value


def _finder(patterns: Iterable[str]) -> linear_regex.Finder:
    return linear_regex.Finder("|".join(f"(?:{pattern})" for pattern in patterns))


def _rules(item: str) -> Iterator[_Rule]:
    patterns = (item[1:],) if item.startswith("/") else PRESETS[item]
    token, check = (
        (_TOKEN, redaction_presets.whole) if item.startswith("/") else (item, CHECKS.get(item, redaction_presets.whole))
    )
    most = MOST_MATCHES if item.startswith("/") else None
    for pattern in patterns:
        yield _Rule(pattern, token, linear_regex.compile_re2(pattern), linear_regex.Finder(pattern), check, most)

"""The fields of many events at once, kept as they came for as long as that will do.

To whoever looks, each is a sequence of dicts. But a dict costs more than anything else that is done to an event, and
sinks of JSON need none: a table's values go into the places of a template, and a document's text stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, overload

import orjson

Fields = dict[str, Any]

MESSAGE = "message"
PARSE_ERROR = "parse_error"


def unparsed(form: str, text: str) -> Fields:
    """Return the fields of a text that is not of its format."""
    return {MESSAGE: text, PARSE_ERROR: form}


@dataclass(frozen=True, slots=True)
class Table(Sequence[Fields]):
    """The fields of many events that all have the same, as rows of texts: dicts are made of them when looked at."""

    names: tuple[str, ...]
    rows: Sequence[Sequence[str]]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Fields]:
        names = self.names
        return (dict(zip(names, row, strict=True)) for row in self.rows)

    @overload
    def __getitem__(self, index: int) -> Fields: ...
    @overload
    def __getitem__(self, index: slice) -> Table: ...
    def __getitem__(self, index: int | slice) -> Fields | Table:
        if isinstance(index, slice):
            return Table(self.names, self.rows[index])
        return dict(zip(self.names, self.rows[index], strict=True))

    def select(self, indices: Sequence[int]) -> Table:
        """The fields of these events."""
        return Table(self.names, [self.rows[index] for index in indices])

    def column(self, name: str) -> list[str]:
        return list(map(itemgetter(self.names.index(name)), self.rows))

    def without(self, name: str) -> Table:
        at = self.names.index(name)
        left = [index for index in range(len(self.names)) if index != at]
        names = tuple(self.names[index] for index in left)
        if len(left) == 1:
            return Table(names, [(row[left[0]],) for row in self.rows])
        return Table(names, list(map(itemgetter(*left), self.rows)))


@dataclass(frozen=True, slots=True)
class JsonObjects(Sequence[Fields]):
    """The texts of objects, none of them empty; as a sequence, the dicts that they stand for.

    A text may be JSON and have no dict all the same: RFC 8259 allows numbers that no float holds (1e999) and halves of
    surrogate pairs. It is shipped as it is where it is not taken apart, and is `unparsed` where it is.
    """

    texts: Sequence[str]
    members: dict[str, list[Any]]  # by name, those that were asked for; None where there is none

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[Fields]:
        return map(_fields, self.texts)

    @overload
    def __getitem__(self, index: int) -> Fields: ...
    @overload
    def __getitem__(self, index: slice) -> JsonObjects: ...
    def __getitem__(self, index: int | slice) -> Fields | JsonObjects:
        if isinstance(index, slice):
            return replace(self, texts=self.texts[index])
        return _fields(self.texts[index])

    def select(self, indices: Sequence[int]) -> JsonObjects:
        """The documents of these events, as they were written."""
        members = {name: [values[index] for index in indices] for name, values in self.members.items()}
        return JsonObjects([self.texts[index] for index in indices], members)

    def without(self, name: str, wanted: Iterable[Any]) -> JsonObjects:
        """The objects without a member, but where something wanted is None. Raises ValueError where one has no dict."""
        begin = orjson.dumps({name: ""}).decode().removesuffix('"}')  # {"name":"
        texts = []
        for text, value, want in zip(self.texts, self.members[name], wanted, strict=True):
            first = f'{begin}{value}",'
            if want is None:
                texts.append(text)
            elif text.startswith(first):
                texts.append("{" + text[len(first) :])
            else:
                texts.append(_cut(text, name, value))
        return replace(self, texts=texts)


def _fields(text: str) -> Fields:
    try:
        found: Fields = orjson.loads(text)
    except orjson.JSONDecodeError:
        return unparsed("json", text)
    return found


FieldColumns = list[Fields] | Table | JsonObjects


# -- cutting members out of a text ---------------------------------------------------------------------------------

_EMPTY = '{"message":""}'


def _cut(text: str, name: str, value: Any) -> str:
    if type(value) is str and "\\" not in text and text.count("{") == 1:
        member = f',{orjson.dumps(name).decode()}:"{value}"'
        at = text.find(member)
        if at > 0:
            return text[:at] + text[at + len(member) :]
    found = orjson.loads(text)
    del found[name]
    return orjson.dumps(found).decode() if found else _EMPTY

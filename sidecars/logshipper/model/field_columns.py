"""Field columns: the fields of many events at once, kept in the form in which they were parsed.

Each class here is a sequence of dicts to its readers. But making a dict costs more than any other step of an event, and
sinks of JSON need none: the values of a `Table` go into the places of a template, and the text of a `JsonObjects` item
is shipped unchanged. Dicts are made only when an item is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, overload

import orjson

Fields = dict[str, Any]

MESSAGE = "message"
PARSE_ERROR = "parse_error"
EMPTY_OBJECT = '{"message":""}'
"""The text of an object whose last member was removed: fields are never empty."""


def unparsed(form: str, text: str) -> Fields:
    """Return the fields of a text that is not in the format `form`."""
    return {MESSAGE: text, PARSE_ERROR: form}


@dataclass(frozen=True, slots=True)
class Table(Sequence[Fields]):
    """The fields of events that all have the same field names, as rows of texts."""

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
        """Return the fields of these events."""
        return Table(self.names, [self.rows[index] for index in indices])

    def column(self, name: str) -> list[str]:
        """Return the values of one field, for all events."""
        return list(map(itemgetter(self.names.index(name)), self.rows))

    def without(self, name: str) -> Table:
        """Return the table without one field."""
        at = self.names.index(name)
        left = [index for index in range(len(self.names)) if index != at]
        names = tuple(self.names[index] for index in left)
        if len(left) == 1:
            return Table(names, [(row[left[0]],) for row in self.rows])
        return Table(names, list(map(itemgetter(*left), self.rows)))


@dataclass(frozen=True, slots=True)
class JsonObjects(Sequence[Fields]):
    """The texts of JSON objects, none of them empty. Read as a sequence, it has a dict for each text.

    A text may be valid JSON that has no dict: RFC 8259 allows numbers that no float holds (1e999) and halves of
    surrogate pairs. Such a text is shipped unchanged; where a dict is read, its fields are those of `unparsed`.
    """

    texts: Sequence[str]
    members: dict[str, list[Any]]  # by name, the members that were asked for, one value an event; None: no such member.
    # A name is missing where no text has the member any more.

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
        """Return the objects of these events, with their texts unchanged."""
        members = {name: [values[index] for index in indices] for name, values in self.members.items()}
        return JsonObjects([self.texts[index] for index in indices], members)

    def with_first_member(self, begins: Sequence[str]) -> JsonObjects:
        """Return the objects with one more member each, before the others: `begins` are texts such as `{"name":1,`."""
        return replace(self, texts=[begin + text[1:] for begin, text in zip(begins, self.texts, strict=True)])

    def without(self, name: str, wanted: Sequence[Any]) -> JsonObjects:
        """Return the objects without a member. An object whose item of `wanted` is None keeps the member.

        Raises ValueError where an object has no dict.
        """
        begin = orjson.dumps({name: ""}).decode().removesuffix('""}')  # {"name":
        texts = []
        for text, value, want in zip(self.texts, self.members[name], wanted, strict=True):
            first = f'{begin}"{value}",' if type(value) is str else f"{begin}{value},"
            if want is None:
                texts.append(text)
            elif text.startswith(first) and not _comes_again(name, rest := "{" + text[len(first) :]):
                texts.append(rest)
            else:
                texts.append(_remove_member(text, name, value))
        return JsonObjects(texts, self.members_without(name, wanted))

    def members_without(self, name: str, wanted: Sequence[Any]) -> dict[str, list[Any]]:
        """Return the members for texts from which one was removed, as `without` does."""
        members = {other: values for other, values in self.members.items() if other != name}
        if None in wanted:
            members[name] = [
                value if want is None else None for value, want in zip(self.members[name], wanted, strict=True)
            ]
        return members


def _fields(text: str) -> Fields:
    try:
        found: Fields = orjson.loads(text)
    except orjson.JSONDecodeError:
        return unparsed("json", text)
    return found


FieldColumns = list[Fields] | Table | JsonObjects


# -- removing a member from a text ---------------------------------------------------------------------------------


def _comes_again(name: str, rest: str) -> bool:
    """True if the rest of an object, of which a member was taken, has one more of its name: an app may write it twice.

    Raises ValueError where the rest has no dict.
    """
    return f'"{name}"' in rest and name in orjson.loads(rest)


def _remove_member(text: str, name: str, value: Any) -> str:
    kind = type(value)
    if kind in (str, int) and "\\" not in text and text.count("{") == text.count(f'"{name}"') == 1:
        written = f'"{value}"' if kind is str else str(value)
        member = f",{orjson.dumps(name).decode()}:{written}"
        at = text.find(member)
        if at > 0 and (kind is str or text[at + len(member)] in ",}"):  # 30 is the beginning of 300
            return text[:at] + text[at + len(member) :]
    found = orjson.loads(text)
    del found[name]
    return orjson.dumps(found).decode() if found else EMPTY_OBJECT

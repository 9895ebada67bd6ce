"""FORMAT=record: records that a logshipper has written are read again, with their own ids, files, times and labels.

A line is a record as `sinks.encodings.ndjson` writes it, or a dead letter: a record behind the members `sink`,
`reason`, `rejected` and `labels`. The rest of it goes to the sink as it would have gone at first: the id, the file
and the labels are those of the record, and those of this input are not added. So a receiver that knows ids has each
event once.

| member, in this order | becomes |
|---|---|
| `sink`, `reason`, `rejected` | nothing |
| `labels` | says which members are labels; without it those of the Pod are (`pod`, `namespace` …) |
| `id` | generation, offset and size of the event |
| `file`, labels, `partial` | the same of the records |
| `time`, `level` with its `severity` | time and level of the event, where they have the form in which we write them |
| the others | the fields, with their text unchanged; a lone `message` is the text of the event |

Whoever can write the file can write any record. An id, a file name or a label that we cannot have written makes the
line an event of its own, with an id of this input and the field `parse_error`: nothing is lost, and nothing gets an id
that is none. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from sidecars.logshipper.model import severity
from sidecars.logshipper.model.field_columns import JsonObjects, unparsed
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.model.times import timestamps, written_times
from sidecars.logshipper.transform.parsing.formats import RECORD

_TEXT = r'"(?:[^"\\]|\\.)*"'
_LETTER = re.compile(rf'\{{"sink":{_TEXT},"reason":{_TEXT},"rejected":{_TEXT},(?:"labels":(\[[^\]]*\]),)?')
_MEMBER = re.compile(rf"({_TEXT}):({_TEXT}|true)([,}}])")
_ID = re.compile(r"([0-9A-Za-z_-]{1,64})-(0|[1-9][0-9]{0,17})(?:\+([1-9][0-9]{0,9}))?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z")
_LABEL = re.compile(r"[^\x00-\x1f\"\\\]]{1,100}")
_POD = frozenset({"pod", "namespace", "pod_uid", "pod_ip", "node"})
_MOST_LABELS = 32
_LONGEST_FILE = 4096  # characters: PATH_MAX
_MESSAGE, _STREAM = "message", "stream"
_NO_LABELS = ("id", "file", "partial", "time", "level", "severity", _MESSAGE)

_parse_time = timestamps.parser("rfc3339")


@dataclass(frozen=True, slots=True)
class _Record:
    """One record that was read."""

    generation: str
    offset: int
    size: int | None  # of the id; None: it has none
    file: str
    labels: tuple[tuple[str, str], ...]
    body: str
    fields: str | None  # the text of a JSON object
    time: int | None
    level: str | None
    partial: bool

    def goes_on(self, other: _Record) -> bool:
        """True if `other` can follow in the same records."""
        if self.size is not None or self.partial or self.generation != other.generation:
            return False
        same = self.file == other.file and self.labels == other.labels
        return same and self.offset < other.offset and (self.fields is None) == (other.fields is None)


def split(made: Records) -> Iterator[Records]:
    """Yield the records of the lines of an input with this format. `made` has the lines as texts."""
    if not made.bodies:
        yield made
        return
    dropped, rest = made.dropped, replace(made, dropped={})
    run: list[_Record] = []
    first = 0
    for index, line in enumerate(made.bodies):
        record = None if made.partial and index == len(made.bodies) - 1 else parse(line)
        if run and (record is None or not run[-1].goes_on(record)):
            yield _records(rest, first, run, dropped)
            run, dropped = [], {}
        if record is None:
            yield _foreign(rest, index, dropped)
            dropped = {}
        else:
            first = first if run else index
            run.append(record)
    if run:
        yield _records(rest, first, run, dropped)


def parse(line: str) -> _Record | None:
    """Return the record of a line; None if it is none that we can have written."""
    letter = _LETTER.match(line)
    try:
        names = _label_names(letter[1]) if letter and letter[1] else _POD
        return _parse("{" + line[letter.end() :] if letter else line, names)
    except (ValueError, RecursionError):
        return None


def _label_names(text: str) -> frozenset[str]:
    names = orjson.loads(text)
    if len(names) > _MOST_LABELS or not all(type(name) is str and _LABEL.fullmatch(name) for name in names):
        raise ValueError("the labels are wrong")
    return frozenset(names).difference(_NO_LABELS)


def _parse(text: str, label_names: frozenset[str]) -> _Record:
    if type(_loads(text)) is not dict:
        raise ValueError("no object")
    found: dict[str, str] = {}
    at, end = 1, ","
    while end == "," and (member := _MEMBER.match(text, at)):
        name = orjson.loads(member[1])
        if name in found or not _is_ours(name, member[2], text[member.end() :], label_names):
            break
        found[name] = "" if member[2] == "true" else orjson.loads(member[2])
        at, end = member.end(), member[3]
    ident = _ID.fullmatch(found.get("id", ""))
    file = found.get("file", "")
    if ident is None or not file or len(file) > _LONGEST_FILE or "\0" in file:
        raise ValueError("the id or the file is wrong")
    fields = "{" + text[at:] if end == "," else '{"message":""}'
    body, fields_left = _body(fields)
    return _Record(
        ident[1],
        int(ident[2]),
        None if ident[3] is None else int(ident[3]),
        file,
        tuple((name, value) for name, value in found.items() if name in label_names),
        body,
        fields_left,
        _parse_time(found["time"]) if "time" in found else None,
        found.get("level"),
        "partial" in found,
    )


def _is_ours(name: str, value: str, rest: str, label_names: frozenset[str]) -> bool:
    """Return True for a member that is no field, so that the record is written again as it is. `rest`: what follows."""
    if name == "partial":
        return value == "true"
    if value == "true":
        return False
    if name == "time":
        time = _parse_time(value[1:-1]) if _TIME.fullmatch(value[1:-1]) else None
        return time is not None and written_times.rfc3339(time) == value[1:-1]
    if name == "level":  # that of an app that needs no LEVEL_KEY has no severity behind it
        known = severity.of(orjson.loads(value)).name
        return bool(known) and rest.startswith(f'"severity":"{known}"')
    return name in ("id", "file", "severity") or name in label_names


def _loads(text: str) -> Any:
    """Return the value of a JSON text. Numbers that no float holds are valid, too. Raises ValueError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _body(fields: str) -> tuple[str, str | None]:
    """Return the text of an event, and its fields if there is more than a message."""
    found = _loads(fields)
    message = found.get(_MESSAGE)
    if type(message) is str and found.keys() <= {_MESSAGE, _STREAM} and _is_text(message):
        return message, None if len(found) == 1 else fields
    return fields, fields


def _is_text(value: str) -> bool:
    """Return False for half of a surrogate pair (U+D800): no UTF-8 can have it, so it stays as it is written."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _records(rest: Records, first: int, run: Sequence[_Record], dropped: Mapping[str, tuple[int, int]]) -> Records:
    """Return the records of a run: they have one generation, file and set of labels."""
    head, last = run[0], run[-1]
    behind = first + len(run)
    source = rest.chunk
    fields = None if head.fields is None else JsonObjects([record.fields or "" for record in run], {})
    read_sizes = rest.sizes[first:behind]
    sizes = list(read_sizes)
    if last.size is not None:
        sizes[-1] = last.size
    return replace(
        rest,
        chunk=replace(source, generation=head.generation, first_path=head.file),
        labels=dict(head.labels),
        bodies=[record.body for record in run],
        offsets=[record.offset for record in run],
        sizes=sizes,
        times=[record.time for record in run] if any(record.time is not None for record in run) else None,
        levels=[record.level for record in run] if any(record.level is not None for record in run) else None,
        fields=fields,
        partial=last.partial,
        sized=int(last.size is not None),
        dropped=dict(dropped),
        raw=None,
        chosen=True,
        source=source,
        read_sizes=read_sizes,
    )


def _foreign(rest: Records, index: int, dropped: Mapping[str, tuple[int, int]]) -> Records:
    """Return the records of a line that is no record: an event of this input."""
    one = rest.select([index])
    return replace(one, fields=[unparsed(RECORD, one.bodies[0])], dropped=dict(dropped))

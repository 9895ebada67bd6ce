"""Batches as GELF messages, version 1.1: one JSON object for each event.

https://go2docs.graylog.org/current/getting_in_log_data/gelf.html#GELFPayloadSpecification

- `short_message` is the first line of the text, and `full_message` the whole text if it has several lines. A blank text
  is sent as one space, since a `short_message` must not be empty.
- `host` is the Pod, `timestamp` the time in seconds (the event's own, or else the time at which its batch was
  collected), `level` the severity of syslog, 0 to 7.
- All else are additional fields, whose names begin with `_`: `_event_id` (`_id` is not allowed), `_file`, the labels,
  `_partial`, `_level_name` as the app wrote it, and the parsed fields.
- Additional fields are texts and numbers. An object becomes a field for each member, `_user_name`; a list and a boolean
  become text; null is left out. In a name, characters other than letters, digits, `_`, `.` and `-` become `_`. A name
  that is taken, or that Graylog keeps for itself, gets `_` at its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson

from sidecars.logshipper.model import severity
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.field_columns import MESSAGE
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings.record_templates import file_name
from sidecars.logshipper.transform.lifting import known_levels

_SECOND = 1_000_000_000
_DEEPEST = 4  # levels of objects that become fields of their own; a deeper one becomes text
_RESERVED = frozenset(
    {"_id", "_ttl", "_source", "_all", "_index", "_type", "_score", "_message", "_timestamp", "_version"}
)
_ILLEGAL = re.compile(r"[^A-Za-z0-9_.-]")
_INFORMATIONAL = severity.UNKNOWN.syslog
_EMPTY = "empty"  # stands for the name ""
_LONGEST_NAME = 255  # characters


def encode(batch: Batch, host: str) -> list[bytes]:
    """Return a message for each event. `host`: that of events without a Pod."""
    ids = batch.ids()
    messages = (message for records in batch.records for message in _messages(records, ids, host, batch.at))
    return [b"%b" % orjson.dumps(message) for message in messages]  # a copy: what orjson returns holds 4 KiB of memory


def _messages(records: Records, ids: Iterator[str], host: str, now: int) -> Iterator[dict[str, Any]]:
    labels = dict(records.labels)
    known = {"version": "1.1", "host": labels.pop("pod", host) or "-"}
    constant: dict[str, Any] = {"_file": file_name(records)}
    _add(constant, labels.items())
    last = len(records.bodies) - 1
    for index, ident in zip(range(len(records.bodies)), ids, strict=False):
        fields = None if records.fields is None else dict(records.fields[index])
        text = records.bodies[index] if fields is None else _text_of(fields, records.bodies[index])
        time = None if records.times is None else records.times[index]
        level = None if records.levels is None else records.levels[index]
        severity_of = known_levels.in_fields(fields) if level is None and fields and records.finds_levels else level
        message = {
            **known,
            **_texts(text),
            "timestamp": _seconds(now if time is None else time),
            "level": _syslog(severity_of),
        }
        message |= {"_event_id": ident, **constant}
        if level is not None:
            message["_level_name"] = level
        if records.partial and index == last:
            message["_partial"] = "true"
        if fields:
            _add(message, fields.items())
        yield message


def _text_of(fields: dict[str, Any], body: str) -> str:
    """Take the message out of the fields; without one the text of the event is the message."""
    text = fields.pop(MESSAGE, None)
    if text is None:
        return body
    return text if isinstance(text, str) else orjson.dumps(text).decode()


def _texts(text: str) -> dict[str, str]:
    first, newline, _ = text.partition("\n")
    if not newline:
        return {"short_message": text if text.strip() else " "}
    return {"short_message": first if first.strip() else text.strip().partition("\n")[0] or " ", "full_message": text}


def _seconds(time: int) -> orjson.Fragment:
    return orjson.Fragment(b"%d.%09d" % divmod(time, _SECOND))


@lru_cache(maxsize=256)
def _syslog(level: str | None) -> int:
    return _INFORMATIONAL if level is None else severity.of(level).syslog


# -- additional fields ---------------------------------------------------------------------------------------------


def _add(message: dict[str, Any], items: Iterable[tuple[str, Any]], before: str = "_", depth: int = 1) -> None:
    """Add fields to the message, under names that Graylog accepts and that are not taken."""
    again: dict[str, int] = {}  # how often a name was taken already
    for name, value in items:
        if isinstance(value, Mapping) and value and depth < _DEEPEST:
            _add(message, value.items(), f"{before}{name}_", depth + 1)
        elif value is not None:
            key = plain = _clean(f"{before}{name or _EMPTY}")
            while key in message or key in _RESERVED:
                again[plain] = count = again.get(plain, 0) + 1
                key = f"{plain}_" if count == 1 else f"{plain}_{count}"
            message[key] = (
                value if isinstance(value, str | int | float) and not isinstance(value, bool) else _text(value)
            )


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


@lru_cache(maxsize=1024)
def _clean(name: str) -> str:
    return _ILLEGAL.sub("_", name)[:_LONGEST_NAME]

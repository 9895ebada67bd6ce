"""Batches as syslog messages (RFC 5424), each after its length (octet counting: RFC 6587, 3.4.1, and RFC 5425, 4.3).

    <length> <PRI>1 TIME HOSTNAME APP-NAME - - [logshipper@32473 id="…" file="…" …] the text

- The facility is `user`. HOSTNAME is the Pod. APP-NAME is the label `app` (or `app.kubernetes.io/name`), or logshipper.
- The other labels and the id are parameters of the structured data. Repeats are recognised by the id: a timestamp has
  six decimals only. 32473 is the number that RFC 5612 reserves for examples: we have none of our own.
- The text is UTF-8 without a byte order mark, which receivers would store as a part of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import add

from sidecars.logshipper.model import severity
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.model.times.written_times import rfc3339
from sidecars.logshipper.sinks.encodings.record_templates import file_name, id_template, template_slices
from sidecars.logshipper.transform.lifting import known_levels

_USER = 1 << 3  # the facility, in its place
_NIL = "-"
_APP = ("app", "app.kubernetes.io/name")
_MICROSECOND = 1000  # nanoseconds
_SECONDS_ONLY = len("2026-01-02T03:04:05Z")
_MICROSECONDS = len("2026-01-02T03:04:05.678901")
_SHORTEST_PART = 256  # bytes of text
_HOST_LIMIT, _APP_LIMIT, _NAME_LIMIT = 255, 48, 32  # RFC 5424, 6


def encode_frames(batch: Batch, now: int) -> list[bytes]:
    """Return blocks of frames. `now`: nanoseconds since 1970, for events without a time."""
    slices = chain.from_iterable(_slices(records, now) for records in batch.records)
    return [(template * len(columns)) % tuple(chain.from_iterable(columns)) for template, columns in slices]


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages, each in its frame, and for each the index of its event in the batch."""

    frames: Sequence[bytes]
    events: Sequence[int]


def encode_messages(batch: Batch, now: int, largest: int) -> Messages:
    """Return frames one by one, whose messages have `largest` bytes at most.

    The text of a longer event is split over several messages with the same id, which have the parameter `part="1/3"`.
    A message whose header and parameters alone are nearly as long still has _SHORTEST_PART bytes of text.
    """
    frames: list[bytes] = []
    events: list[int] = []
    event = 0
    for records in batch.records:
        for template, columns in _slices(records, now):
            for values in columns:
                if values[0] <= largest:
                    frames.append(template % values)
                    events.append(event)
                else:
                    parts = [template % part for part in _parts(values, largest)]
                    frames += parts
                    events += [event] * len(parts)
                event += 1
    return Messages(frames, events)


_Values = tuple[int, bytes, int, bytes, bytes]  # of a template: length, head, offset, end of the parameters, text


def _parts(values: _Values, largest: int) -> Iterator[_Values]:
    length, head, offset, end, text = values
    fixed = length - len(text)
    room = max(largest - fixed - len(b' part="9999/9999"'), _SHORTEST_PART)
    cuts = [0]
    while len(text) - cuts[-1] > room:
        cut = cuts[-1] + room
        while text[cut] & 0xC0 == 0x80:  # in the middle of a character of UTF-8
            cut -= 1
        cuts.append(cut)
    cuts.append(len(text))
    for number in range(1, len(cuts)):
        part = text[cuts[number - 1] : cuts[number]]
        name = b' part="%d/%d"' % (number, len(cuts) - 1)
        yield fixed + len(name) + len(part), head, offset, name + end, part


def _slices(records: Records, now: int) -> Iterator[tuple[bytes, list[_Values]]]:
    """Yield the template of a slice of events, and its values for each."""
    middle, rest = _fixed(records)
    for first, stop in template_slices(records):
        name, own = id_template(lambda text: f"{middle}{text}".encode(), records, first)
        template = b"%d %b" + name + rest.replace(b"%", b"%%") + b"%b%b"
        heads = _heads(records, first, stop, now)
        ends = [b"] "] * (stop - first)
        if records.partial and stop == len(records.bodies):
            ends[-1] = b' partial="true"] '
        texts = list(map(str.encode, records.bodies[first:stop]))
        lengths = map(add, map((own + len(rest)).__add__, map(len, heads)), map(add, map(len, ends), map(len, texts)))
        yield template, list(zip(lengths, heads, records.offsets[first:stop], ends, texts, strict=True))


def _fixed(records: Records) -> tuple[str, bytes]:
    """Return the text that is the same for all events: before the id, and after it."""
    labels = dict(records.labels)
    host = _header_field(labels.pop("pod", ""), _HOST_LIMIT)
    app = next((name for name in _APP if name in labels), "")
    app_name = _header_field(labels.pop(app, "logshipper"), _APP_LIMIT)
    parameters = {"file": file_name(records), **labels}
    more = "".join(f' {_parameter_name(name)}="{_parameter_value(value)}"' for name, value in parameters.items())
    return f' {host} {app_name} - - [logshipper@32473 id="', f'"{more}'.encode()


def _heads(records: Records, first: int, stop: int, now: int) -> list[bytes]:
    """Return `<PRI>1 TIME` for each event."""
    times = [None] * (stop - first) if records.times is None else records.times[first:stop]
    levels = records.levels[first:stop] if records.levels is not None else _found_levels(records, first, stop)
    return [_head(level, now if time is None else time) for level, time in zip(levels, times, strict=True)]


def _found_levels(records: Records, first: int, stop: int) -> list[str | None]:
    if records.fields is None or not records.finds_levels:
        return [None] * (stop - first)
    return known_levels.of_events(records.fields[first:stop])


@lru_cache(maxsize=1024)
def _head(level: str | None, time: int) -> bytes:
    level_severity = severity.UNKNOWN if level is None else severity.of(level)
    return f"<{_USER | level_severity.syslog}>1 {_time(time)}".encode()


def _time(time: int) -> str:
    """Return the time in RFC 3339, with six decimals at most."""
    text = rfc3339(time // _MICROSECOND * _MICROSECOND)
    return text if len(text) <= _MICROSECONDS else f"{text[:_MICROSECONDS]}Z"


def _header_field(text: str, limit: int) -> str:
    """Return the text in PRINTUSASCII without spaces; nil if it is empty."""
    return re.sub(r"[^!-~]", "_", text)[:limit] or _NIL


def _parameter_name(text: str) -> str:
    return re.sub(r'[^!-~]|[=\]"]', "_", text)[:_NAME_LIMIT]


def _parameter_value(text: str) -> str:
    return re.sub(r'(["\\\]])', r"\\\1", text)

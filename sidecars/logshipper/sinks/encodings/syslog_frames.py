"""Batches as syslog messages (RFC 5424), each after its length (octet counting: RFC 6587, 3.4.1, and RFC 5425, 4.3).

    <length> <PRI>1 TIME HOSTNAME APP-NAME - - [logshipper@32473 id="…" file="…" …] the text

- The facility is `user`. HOSTNAME is the Pod. APP-NAME is the label `app` (or `app.kubernetes.io/name`), or logshipper.
- The other labels and the id are parameters of the structured data. Repeats are recognised by the id: a timestamp has
  six decimals only. 32473 is the number that RFC 5612 reserves for examples: we have none of our own.
- The text is UTF-8 without a byte order mark, which receivers would store as a part of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from operator import add

from sidecars.logshipper.model import severity
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.model.timestamps import rfc3339
from sidecars.logshipper.sinks.encodings.record_templates import file_name, id_template, template_slices

_USER = 1 << 3  # the facility, in its place
_NIL = "-"
_APP = ("app", "app.kubernetes.io/name")
_MICROSECOND = 1000  # nanoseconds
_SECONDS_ONLY = len("2026-01-02T03:04:05Z")
_MICROSECONDS = len("2026-01-02T03:04:05.678901")
_HOST_LIMIT, _APP_LIMIT, _NAME_LIMIT = 255, 48, 32  # RFC 5424, 6


def encode_frames(batch: Batch, now: int) -> list[bytes]:
    """Return blocks of frames. `now`: nanoseconds since 1970, for events without a time."""
    return [block for records in batch.records for block in _blocks(records, now)]


def _blocks(records: Records, now: int) -> Iterator[bytes]:
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
        columns = zip(lengths, heads, records.offsets[first:stop], ends, texts, strict=True)
        yield (template * (stop - first)) % tuple(chain.from_iterable(columns))


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
    levels = [None] * (stop - first) if records.levels is None else records.levels[first:stop]
    return [_head(level, now if time is None else time) for level, time in zip(levels, times, strict=True)]


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

"""No setting of an input that is set is without an effect: for all pairs of settings and for the formats.

Records of a corpus are made with both settings of a pair, and with one of them alone. If they are the same, then the
other one has no effect, and the pair must be an error at the start. The corpus has lines of each format with fields of
every kind, so that a setting that can act does act.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import Any

import pytest

from sidecars.chassis.config.settings import SettingsError, load
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.encodings import ndjson
from sidecars.logshipper.transform.pipeline import Pipeline
from tests.logshipper.pipelines import AT
from tests.logshipper.support import a_chunk

Values = dict[str, str]

SETTINGS: list[tuple[str, str, Values]] = [
    ("TIME_KEY", "a", {}),
    ("TIME_KEY", "message", {}),
    ("TIME_FORMAT", "unix_us", {"TIME_KEY": "n"}),
    ("TIME_ZONE", "+02:00", {"TIME_KEY": "local"}),
    ("LEVEL_KEY", "a", {}),
    ("LEVEL_KEY", "auto", {}),
    ("MESSAGE_KEY", "a", {}),
    ("RENAME", "a:b", {}),
    ("RENAME", "message:text", {}),
    ("COPY", "a:c", {}),
    ("REMOVE", "a", {}),
    ("REMOVE", "message", {}),
    ("REMOVE", "o.*", {}),
    ("ADD", "x=y", {}),
    ("FLATTEN", "true", {}),
    ("READ_AT", "true", {}),
    ("LABELS", "app=shop", {}),
    ("REDACT", "email", {}),
    ("KEEP", "needle", {}),
    ("DROP", "needle", {}),
    ("MULTILINE", "indent", {}),
    ("ENCODING", "windows-1252", {}),
]
"""Settings, a value of each, and those that it needs."""

REGEX = " ".join(
    [*(rf"{name}=(?P<{name}>\S+)" for name in ("a", "t", "n", "local", "lvl", "who", "mark")), "(?P<message>.*)"]
)
FORMATS = {
    "raw": {},
    "json": {"FORMAT": "json"},
    "logfmt": {"FORMAT": "logfmt"},
    "regex": {"FORMAT": "regex", "REGEX": REGEX},
    "cri": {"FORMAT": "cri"},
    "docker": {"FORMAT": "docker"},
    "cri,json": {"FORMAT": "cri,json"},
    "record": {"FORMAT": "record"},
}

_T, _LOCAL = "2026-11-28T10:00:00Z", "2026-11-28T10:00:00"
_ENTRY = "2026-11-28T11:00:00Z"  # of a container's entry
_LEVELED = "2026-11-28 10:00:00,000 ERROR [main] a.b.C - failed"
_WHO = "me@example.org_caf\u00e9"
_EVENTS: list[dict[str, Any]] = [
    {"a": _T, "t": _T, "n": "1795867200000", "local": _LOCAL, "lvl": "warn", "who": _WHO, "message": "ERROR"},
    {"a": "error", "t": "late", "n": "x", "local": "x", "lvl": "7", "who": _WHO, "message": "text"},
    {"a": "text", "t": "text", "n": "x", "local": "x", "lvl": "x", "who": _WHO, "message": _T},
    {"a": _LOCAL, "t": _LOCAL, "n": _LOCAL, "local": _LOCAL, "lvl": "x", "who": _WHO, "message": _LOCAL},
]
_OBJECT: dict[str, Any] = {"a": 7, "o": {"p": 1}, "lvl": 3, "t": None, "stream": "s", "message": {"text": "an object"}}


@lru_cache
def corpus(form: str) -> bytes:
    """Return lines of the format and others. Each is there with the text that KEEP and DROP look for, and without."""
    return b"".join(line.encode("cp1252") + b"\n" for mark in ("needle", "thread") for line in _lines(form, mark))


def _lines(form: str, mark: str) -> Iterator[str]:
    texts = [json.dumps({**one, "mark": mark}, ensure_ascii=False) for one in (_OBJECT, *_EVENTS)]
    flat = [" ".join(f"{name}={value}" for name, value in one.items() if name != "message") for one in _EVENTS]
    if form == "json":
        yield from texts
    elif form in ("raw", "regex"):
        yield from (f"{one} mark={mark} {event['message']}" for one, event in zip(flat, _EVENTS, strict=True))
    elif form == "logfmt":
        yield from (f"{one} mark={mark} message={event['message']}" for one, event in zip(flat, _EVENTS, strict=True))
        yield f"o.p=1 stream=s mark={mark} message"
    elif form == "cri":
        yield from (f"{_ENTRY} stdout F {one} {mark}" for one in (*flat, _LEVELED, "  indented"))
    elif form == "cri,json":
        yield from (f"{_ENTRY} stderr F {one}" for one in (*texts, "  indented"))
    elif form == "docker":
        for text in (*flat, _LEVELED, "  indented"):
            entry = {"stream": "stdout", "time": _ENTRY, "attrs": {"k": _WHO}}
            yield json.dumps({"log": f"{text} {mark}\n", **entry}, ensure_ascii=False)
    else:
        for at, event in enumerate(_EVENTS):
            record = {"id": f"f00d-{at}", "file": "/f", **event, "mark": mark}
            yield json.dumps(record, separators=(",", ":"), ensure_ascii=False)
    yield f"no line of the format: {mark} {_WHO}"
    yield f"{_LEVELED} {mark}"
    yield f"  an indented one {mark}"


@lru_cache(maxsize=4096)
def input_of(values: tuple[tuple[str, str], ...]) -> InputSettings | None:
    """Return the settings of an input; None if they are an error."""
    environ = {f"LOGSHIPPER_{name}": value for name, value in values}
    try:
        return load(Settings, {"LOGSHIPPER_PATHS": "/l/*", "LOGSHIPPER_SINK": "http://h/", **environ}).inputs["default"]
    except SettingsError:
        return None


@lru_cache(maxsize=4096)
def made(form: str, values: tuple[tuple[str, str], ...]) -> bytes | None:
    """Return the records of the corpus as JSON lines; None if the settings are an error."""
    one = input_of(values)
    if one is None:
        return None
    pipeline = Pipeline(one, {})
    chunk = replace(a_chunk(corpus(form)), encoding=pipeline.encoding)
    return b"".join(ndjson.encode(Batch("default", tuple(pipeline.records(chunk, AT)), AT)))


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_set_beside_another_setting_has_an_effect_or_is_an_error(form: str) -> None:
    without = []
    hidden = ("REDACT", "ENCODING") if form in ("raw", "cri", "docker") else ()  # by REMOVE=message: no text is left
    for (field, value, needed), (other, theirs, others) in product(SETTINGS, SETTINGS):
        base = {**FORMATS[form], **needed, **others, other: theirs}
        if field == other or field in base or (field in hidden and (other, theirs) == ("REMOVE", "message")):
            continue
        both = made(form, tuple(sorted({**base, field: value}.items())))
        alone = made(form, tuple(sorted(base.items())))
        if both is not None and both == alone:
            without.append(f"{field}={value} beside {other}={theirs}")
    assert not without, "\n".join(without)

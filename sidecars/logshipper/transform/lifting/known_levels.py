"""Known levels: those that are found without being asked for, in the usual fields of loggers and forms of lines.

Only an unmistakable form is a level here: a word that is one (`WARN`, not `high`), or a number whose meaning
the other fields tell.

| fields | level |
|---|---|
| `level`, `severity`, `log.level`, `level_name` and others of FIELDS, also `log` with `level` inside | the word |
| `level` of 10 to 60 beside `pid` and `hostname` | that of pino and bunyan |
| `level` of 0 to 7 beside `version` and `short_message` | that of GELF, which is syslog's |
| `s` of one letter beside `c` and `ctx` | that of MongoDB |
| `@t` and `@m` or `@mt`, without `@l` | Information (Serilog's compact format leaves it out) |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sidecars.logshipper.model import severity

FIELDS = (
    "level", "severity", "log.level", "level_name", "levelname", "lvl", "loglevel", "log_level", "severity_text", "@l",
)  # fmt: skip
_NO_LEVELS = frozenset({"all", "inf"})  # words of three letters and more that may mean another thing
_LEAST = 3  # letters
_PINO = range(10, 61, 10)
_GELF = range(8)
_MONGODB = frozenset("FEWID")


def word(value: Any) -> str | None:
    """Return the value if it is a word that is a level."""
    if type(value) is not str or len(value) < _LEAST or value.isdigit() or value.lower() in _NO_LEVELS:
        return None
    return value if severity.of(value) is not severity.UNKNOWN else None


def in_fields(fields: Mapping[str, Any]) -> str | None:
    """Return the level of an event by its fields; None if no field is certain to be one."""
    for name in FIELDS:
        if name in fields and (found := word(fields[name])):
            return found
    level = fields.get("level")
    if type(level) is int and _is_known_number(level, fields):
        return str(level)
    log = fields.get("log")
    if type(log) is dict:
        return word(log.get("level"))
    return _of_other_forms(fields)


def _is_known_number(level: int, fields: Mapping[str, Any]) -> bool:
    if level in _PINO:
        return "pid" in fields and "hostname" in fields
    return level in _GELF and "version" in fields and "short_message" in fields


def _of_other_forms(fields: Mapping[str, Any]) -> str | None:
    letter = fields.get("s")
    if type(letter) is str and letter in _MONGODB and "c" in fields and "ctx" in fields:
        return letter
    if "@t" in fields and "@l" not in fields and ("@mt" in fields or "@m" in fields):
        return "Information"
    return None


def of_events(fields: Iterable[Mapping[str, Any]]) -> list[str | None]:
    """Return the level of each event by its fields."""
    return [in_fields(one) for one in fields]


# -- lines ---------------------------------------------------------------------------------------------------------

_TIME = (
    r"\[?(?:(?:\d{4}[-/]\d\d[-/]\d\d|\d\d-[A-Z][a-z]{2}-\d{4}|[A-Z][a-z]{2} [ \d]\d)[ T])?"
    r"\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|[A-Z]{3,4}|[+-]\d\d:?\d\d))?\]?"
)
_LEVEL = r"TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|SEVERE|CRITICAL|FATAL|ALERT|EMERG"
_LOWER = r"debug|info|notice|warn|error|crit|alert|emerg"
_FORMS = (
    rf"{_TIME} +(?:\[(?!{_LOWER}\])[^\]\n]{{0,80}}\] +)?\[?({_LEVEL})\]?(?=[ :])"  # Logback, Catalina, PostgreSQL
    rf"|{_TIME} \[({_LOWER})\] "  # nginx, Apache httpd
    rf"|({_LEVEL}):[^ :]{{1,60}}:"  # Python's basicConfig
    r"|([IWEF])\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ [^ :]{1,100}:\d+\]"  # klog
    rf"|[A-Z], \[[^\]]{{1,50}}\] +({_LEVEL}) -- "  # Ruby
    rf"|\[({_LEVEL})\] |({_LEVEL}): "
)


@cache
def _line() -> re.Pattern[str]:
    """Return the forms of lines. They are compiled when they are needed: that takes a millisecond."""
    return re.compile(_FORMS, re.ASCII)


def in_line(text: str) -> str | None:
    """Return the level of an event by the well-known form of its first line; None if it has none of them."""
    found = _line().match(text)
    return None if found is None else found[found.lastindex or 0]

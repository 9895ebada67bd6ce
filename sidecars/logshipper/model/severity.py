"""Severities: the levels that apps write, mapped to the severities of OpenTelemetry and syslog.

A record keeps the level as the app wrote it, and gets the severity beside it. Numeric levels are those of pino and
bunyan (10 to 60), of Logback's `level_value` (5000 to 40000), and of syslog (0 to 7).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class Severity(NamedTuple):
    """`name` and `otlp`: OpenTelemetry's logs data model, SeverityNumber; `syslog`: RFC 5424, 6.2.1."""

    name: str
    otlp: int
    syslog: int


TRACE = Severity("TRACE", 1, 7)
DEBUG = Severity("DEBUG", 5, 7)
INFO = Severity("INFO", 9, 6)
NOTICE = Severity("INFO", 10, 5)
WARN = Severity("WARN", 13, 4)
ERROR = Severity("ERROR", 17, 3)
CRITICAL = Severity("FATAL", 21, 2)
ALERT = Severity("FATAL", 22, 1)
EMERGENCY = Severity("FATAL", 24, 0)

UNKNOWN = Severity("", 0, 6)
"""OTLP has UNSPECIFIED for it. Syslog has no such severity: it is sent as informational."""

_WORDS = {
    TRACE: "trace trce all finest finer verbose t v",
    DEBUG: "debug dbug dbg fine d",
    INFO: "info information informational inf config log i",
    NOTICE: "notice note n",
    WARN: "warn warning wrn w",
    ERROR: "error err eror fail severe e",
    CRITICAL: "fatal critical crit panic dpanic ftl f c",
    ALERT: "alert a",
    EMERGENCY: "emergency emerg",
}
_NUMBERS = {
    TRACE: "10 5000",
    DEBUG: "7 20 10000",
    INFO: "6 30 20000",
    NOTICE: "5",
    WARN: "4 40 30000",
    ERROR: "3 50 40000",
    CRITICAL: "2 60",
    ALERT: "1",
    EMERGENCY: "0",
}
_KNOWN = {
    word: severity for words in (_WORDS, _NUMBERS) for severity, listed in words.items() for word in listed.split()
}


@lru_cache(maxsize=256)
def of(text: str) -> Severity:
    """Return the severity of a level; `UNKNOWN` if the level is not in the tables above."""
    return _KNOWN.get(text.strip(" \t[]<>():").lower(), UNKNOWN)

"""Logs: one line of JSON on stderr, or text on a terminal. No payload and no secret is ever logged.

`log = logs.get("warcopier"); log.info("published", file=name, bytes=size)` gives
`{"time":"2026-01-02T03:04:05.678Z","level":"info","msg":"published","logger":"warcopier","file":"shop.war","bytes":1}`.
The field names are those of Go's `log/slog`, which most neighbours in a cluster use.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO

_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m"}
FORMATS = ("auto", "json", "text")
_RESERVED = frozenset({"time", "level", "msg", "logger"})


class Log:
    """A logger whose calls take fields by keyword."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, msg: str, /, **fields: object) -> None:
        self._log(logging.DEBUG, msg, fields)

    def info(self, msg: str, /, **fields: object) -> None:
        self._log(logging.INFO, msg, fields)

    def warning(self, msg: str, /, **fields: object) -> None:
        self._log(logging.WARNING, msg, fields)

    def error(self, msg: str, /, **fields: object) -> None:
        self._log(logging.ERROR, msg, fields)

    def defect(self, msg: str, error: BaseException) -> None:
        """An error that is ours: with its traceback."""
        self._logger.error("%s", msg, exc_info=error)

    def _log(self, level: int, msg: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", msg, extra={"fields": fields})


def get(name: str) -> Log:
    return Log(name)


def configure(level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Send all logging of the process to the stream (stderr). `form` is one of FORMATS."""
    stream = stream or sys.stderr
    text = form == "text" or (form == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Text(colours=stream.isatty()) if text else _Json())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.raiseExceptions = False  # a closed stderr must not take the work down


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """The call's fields, and the traceback where there is one. A field never hides what every line has."""
    fields: dict[str, object] = getattr(record, "fields", {})
    fields = {f"{name}_" if name in _RESERVED else name: value for name, value in fields.items()}
    if record.exc_info:
        fields["traceback"] = logging.Formatter().formatException(record.exc_info)
    return fields


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
            "logger": record.name,
            **_fields(record),
        }
        return json.dumps(line, default=str, ensure_ascii=False, separators=(",", ":"))


class _Text(logging.Formatter):
    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        stamp = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = "".join(f"  {name}={value}" for name, value in _fields(record).items())
        line = f"{stamp} {level:<7} {record.name}: {record.getMessage()}{fields}"
        return f"{_COLOURS[level]}{line}\x1b[0m" if self._colours and level in _COLOURS else line

"""Logs: one line of JSON on stderr, or text on a terminal. No payload and no secret is ever logged.

`log = logs.get("warcopier"); log.info("published", file=name, bytes=size)` gives
`{"time":"2026-01-02T03:04:05.678Z","level":"info","msg":"published","logger":"warcopier","file":"shop.war","bytes":1}`.
The field names are those of Go's `log/slog`, which most neighbours in a cluster use.

The standard library's `logging` is only loaded where libraries are there that use it (`configure(libraries=True)`);
what they say then has the same form. In a process that has not configured anything, such as one that runs tests, all
lines go to `logging`, as a library's would.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from threading import RLock

from chassis import jsontext
from chassis.frozen import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from typing import TextIO

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}  # the numbers of `logging`
FORMATS = ("auto", "json", "text")
_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m"}
_CLEAR = "\r\x1b[K"
_RESERVED = frozenset({"time", "level", "msg", "logger"})


class _Unconfigured:
    def write(self, level: str, logger: str, msg: str, fields: dict[str, object], error: BaseException | None) -> None:
        import logging  # noqa: PLC0415 - a program configures its output first of all

        logging.getLogger(logger).log(LEVELS[level], "%s", msg, exc_info=error, extra={"fields": fields})

    def draw(self, _text: str) -> bool:
        return False


class _Output:
    """Where lines go, in which form, and from which level on."""

    def __init__(self, level: str, form: str, stream: TextIO | None) -> None:
        self._least = LEVELS[level]
        self._form = form
        self._stream = stream
        self._drawn = False  # whether something stands on the line that comes next
        self._lock = RLock()  # a signal's handler may interrupt a line, and log one

    def write(self, level: str, logger: str, msg: str, fields: dict[str, object], error: BaseException | None) -> None:
        """Write a line. A field never hides what every line has."""
        if LEVELS[level] < self._least:
            return
        fields = {f"{name}_" if name in _RESERVED else name: value for name, value in fields.items()}
        if error is not None:
            fields["traceback"] = _traceback(error)
        with suppress(OSError, ValueError, AttributeError):  # a closed stderr must not take the work down
            stream = self._stream or sys.stderr
            is_terminal = stream.isatty()
            if self._form == "text" or (self._form == "auto" and is_terminal):
                line = _as_text(level, logger, msg, fields, colours=is_terminal)
            else:
                line = _as_json(level, logger, msg, fields)
            with self._lock:
                stream.write(f"{_CLEAR if self._drawn else ''}{line}\n")
                stream.flush()
                self._drawn = False

    def draw(self, text: str) -> bool:
        with suppress(OSError, ValueError, AttributeError):  # as above
            stream = self._stream or sys.stderr
            if self._form == "json" or not stream.isatty():
                return False
            with self._lock:
                stream.write(f"{_CLEAR}{text}")
                stream.flush()
                self._drawn = bool(text)
            return True
        return False


_output: _Output | _Unconfigured = _Unconfigured()  # a process has one stderr


class Log:
    """A logger whose calls take fields by keyword."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, msg: str, /, **fields: object) -> None:
        _output.write("debug", self._name, msg, fields, None)

    def info(self, msg: str, /, **fields: object) -> None:
        _output.write("info", self._name, msg, fields, None)

    def warning(self, msg: str, /, **fields: object) -> None:
        _output.write("warning", self._name, msg, fields, None)

    def error(self, msg: str, /, **fields: object) -> None:
        _output.write("error", self._name, msg, fields, None)

    def defect(self, msg: str, error: BaseException) -> None:
        """An error that is ours: with its traceback."""
        _output.write("error", self._name, msg, {}, error)


def get(name: str) -> Log:
    return Log(name)


def draw(text: str) -> bool:
    """Where lines are text on a terminal: show this on the line that the next one overwrites. Whether it was shown."""
    return _output.draw(text)


def configure(
    level: str = "info", form: str = "auto", stream: TextIO | None = None, *, libraries: bool = False
) -> None:
    """Send all that is logged to the stream (stderr), with `libraries` what they log, too. `form` is one of FORMATS."""
    global _output  # noqa: PLW0603 - as above: one
    _output = _Output(level, form, stream)
    if libraries:
        _take_from_libraries(level)


def _take_from_libraries(level: str) -> None:
    import logging  # noqa: PLC0415 - a job has no library that logs, and must not pay for it

    class Passing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            level = [name for name, number in LEVELS.items() if number <= record.levelno]
            _output.write(level[-1] if level else "debug", record.name, record.getMessage(), {}, error)

    root = logging.getLogger()
    root.handlers[:] = [Passing()]
    root.setLevel(level.upper())
    logging.raiseExceptions = False  # as above


def _traceback(error: BaseException) -> str:
    import traceback  # noqa: PLC0415 - only for a defect

    return "".join(traceback.format_exception(error)).rstrip("\n")


def _as_json(level: str, logger: str, msg: str, fields: dict[str, object]) -> str:
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    when = f"{stamp}.{int(now % 1 * 1000):03d}Z"
    return jsontext.text({"time": when, "level": level, "msg": msg, "logger": logger, **fields})


def _as_text(level: str, logger: str, msg: str, fields: dict[str, object], *, colours: bool) -> str:
    stamp = time.strftime("%H:%M:%S", time.localtime())
    shown = "".join(f"  {name}={value}" for name, value in fields.items())
    line = f"{stamp} {level:<7} {logger}: {msg}{shown}"
    return f"{_COLOURS[level]}{line}\x1b[0m" if colours and level in _COLOURS else line

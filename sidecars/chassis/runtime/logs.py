"""Logs: one line of JSON on stderr, or text on a terminal. No payload and no secret is ever logged.

`log = logs.get("warcopier"); log.info("published", file=name, bytes=size)` gives
`{"time":"2026-01-02T03:04:05.678Z","level":"info","msg":"published","logger":"warcopier","file":"shop.war","bytes":1}`.
The field names are those of Go's `log/slog`, which most neighbours in a cluster use.

No line ever stops the work: one that stderr's reader does not take is kept, or dropped and counted (see `logwriter`).

The standard library's `logging` is only loaded where libraries are there that use it (`configure(libraries=True)`);
what they say then has the same form. In a process that has not configured anything, such as one that runs tests, all
lines go to `logging`, as a library's would.
"""

from __future__ import annotations

import io
import sys
import time
from contextlib import suppress

from sidecars.chassis.runtime import json_text
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.chassis.runtime.log_writer import LogWriter
from sidecars.chassis.runtime.printable import printable

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from typing import TextIO

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}  # the numbers of `logging`
FORMATS = ("auto", "json", "text")
_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m"}
_CLEAR = "\r\x1b[K"
_STDERR = 2
_RESERVED = frozenset({"time", "level", "msg", "logger"})


class _Unconfigured:
    def write(self, level: str, logger: str, msg: str, fields: dict[str, object], error: BaseException | None) -> None:
        import logging  # noqa: PLC0415 - a program configures its output first of all

        logging.getLogger(logger).log(LEVELS[level], "%s", msg, exc_info=error, extra={"fields": fields})

    def draw(self, _text: str) -> bool:
        return False


class _Output:
    """Writes lines in one form, from one level on: to stderr, or to a test's stream."""

    def __init__(self, level: str, form: str, stream: TextIO | None) -> None:
        self._least = LEVELS[level]
        self._writer: LogWriter | _StreamWriter = _StreamWriter(stream) if stream else _standard_error()
        is_text = form == "text" or (form == "auto" and self._writer.is_terminal)
        self._line = _as_text if is_text else _as_json
        self._draws = form != "json" and self._writer.is_terminal
        self._drawn = False  # True if something stands on the line that comes next
        self._writer.notice = self._notice

    def write(self, level: str, logger: str, msg: str, fields: dict[str, object], error: BaseException | None) -> None:
        """Write a line. A field never hides what every line has."""
        if LEVELS[level] < self._least:
            return
        fields = {f"{name}_" if name in _RESERVED else name: value for name, value in fields.items()}
        if error is not None:
            fields["traceback"] = _traceback(error)
        clear = _CLEAR if self._drawn else ""
        self._drawn = False
        self._writer.write(self._bytes(level, logger, msg, fields, clear), urgent=level == "error")

    def draw(self, text: str) -> bool:
        if self._draws:
            self._drawn = bool(text)
            self._writer.draw(f"{_CLEAR}{text}".encode())
        return self._draws

    def _notice(self, lines: int) -> bytes:
        msg = "log lines were dropped: what reads stderr is too slow"
        return self._bytes("warning", "logs", msg, {"lines": lines}, "")

    def _bytes(self, level: str, logger: str, msg: str, fields: dict[str, object], before: str) -> bytes:
        line = self._line(level, logger, msg, fields, colours=self._writer.is_terminal)
        return f"{before}{line}\n".encode(errors="backslashreplace")


class _StreamWriter:
    """Writes to a stream as a LogWriter does to stderr. For tests."""

    notice: Callable[[int], bytes]
    dropped = 0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty()

    def write(self, data: bytes, *, urgent: bool = False) -> None:  # noqa: ARG002 - nothing is ever dropped here
        self.draw(data)

    def draw(self, text: bytes) -> None:
        with suppress(ValueError):  # it is closed
            self._stream.write(text.decode())


class _StandardError(io.TextIOBase):
    """What stands for `sys.stderr`, for all that writes there by itself: warnings, tracebacks of the interpreter."""

    encoding = "utf-8"

    def __init__(self, writer: LogWriter) -> None:
        self._writer = writer
        self._begun = ""  # of a line

    def write(self, text: str) -> int:
        whole, newline, self._begun = f"{self._begun}{text}".rpartition("\n")
        if newline:
            self._writer.write(f"{whole}\n".encode(errors="backslashreplace"))
        return len(text)

    def isatty(self) -> bool:
        return self._writer.is_terminal

    def fileno(self) -> int:
        return _STDERR

    def writable(self) -> bool:
        return True


_writer: LogWriter | None = None  # a process has one stderr


def _standard_error() -> LogWriter:
    """Return the writer of this process. From the first time on, what is written to `sys.stderr` goes by it, too."""
    global _writer  # noqa: PLW0603 - as above: one
    if _writer is None:
        _writer = LogWriter(_STDERR, lambda _lines: b"")
        sys.stderr = _StandardError(_writer)
    return _writer


_output: _Output | _Unconfigured = _Unconfigured()


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


def show_progress(text: str) -> bool:
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


def flush() -> None:
    """Give the reader of stderr a moment for the lines that wait for it. Called when the process ends."""
    if _writer is not None:
        _writer.finish()


def dropped_lines() -> int:
    """Return how many lines of this process were dropped."""
    return 0 if _writer is None else _writer.dropped


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


def _as_json(level: str, logger: str, msg: str, fields: dict[str, object], *, colours: bool) -> str:  # noqa: ARG001 - JSON has none
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    when = f"{stamp}.{int(now % 1 * 1000):03d}Z"
    return json_text.dumps({"time": when, "level": level, "msg": msg, "logger": logger, **fields})


def _as_text(level: str, logger: str, msg: str, fields: dict[str, object], *, colours: bool) -> str:
    stamp = time.strftime("%H:%M:%S", time.localtime())
    shown = "".join(f"  {name}={value}" for name, value in fields.items())
    line = printable(f"{stamp} {level:<7} {logger}: {msg}{shown}", keep="\n\t")
    return f"{_COLOURS[level]}{line}\x1b[0m" if colours and level in _COLOURS else line

"""Log lines: JSON on stderr, or text on a terminal. No payload and no secret is ever logged.

`log = logs.get("warcopier"); log.info("published", file=name, bytes=size)` gives
`{"time":"2026-01-02T03:04:05.678Z","level":"info","msg":"published","logger":"warcopier","file":"shop.war","bytes":1}`.
The field names are those of Go's `log/slog`, which most neighbours in a cluster use.

Text has columns, and colours on a terminal (`log_text`).

The fields of a line that is longer than LONGEST are cut, so that lines of several processes never mix. A line whose
fields are all short stays whole, such as the one with the many settings.

No line ever blocks the work: a line that stderr's reader does not take is kept, or dropped and counted (`log_writer`).

The standard library's `logging` is loaded only by `configure(libraries=True)`, for programs whose libraries use it;
their lines then have the same form. In a process that has configured nothing, such as a test run, all lines go to
`logging`.
"""

from __future__ import annotations

import io
import sys
import time
from contextlib import suppress

from sidecars.chassis.runtime import json_text
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.chassis.runtime.log_writer import LogWriter
from sidecars.chassis.runtime.printable import truncate

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator
    from typing import TextIO

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}  # the numbers of `logging`
FORMATS = ("auto", "json", "text")
_CLEAR = "\r\x1b[K"
_STDERR = 2
# Bytes of a line, with its line feed. A write of up to PIPE_BUF (4096) bytes to a pipe is atomic (pipe(7)): lines of
# several workers do not mix. The rest is for the line that reports dropped lines, which is written with the next one.
LONGEST = 4096 - 256
_SHORT = 256  # characters of a field that is not cut
_MOST_CUTS = 16  # of the fields of a line
_TROUBLE = ("warning", "error")
_RESERVED = frozenset({"time", "level", "msg", "logger"})


class _Unconfigured:
    """Writes to `logging`, in a process that has not called `configure`."""

    def write(self, level: str, logger: str, msg: str, fields: dict[str, object], error: BaseException | None) -> None:
        import logging  # noqa: PLC0415 - a program configures its output first

        logging.getLogger(logger).log(LEVELS[level], "%s", msg, exc_info=error, extra={"fields": fields})

    def show_progress(self, _text: str) -> bool:
        return False


class _Output:
    """Writes lines of one format, from one level on, to stderr or to the stream of a test."""

    def __init__(self, level: str, form: str, stream: TextIO | None) -> None:
        self._threshold = LEVELS[level]
        self._writer: LogWriter | _StreamWriter = _StreamWriter(stream) if stream else _standard_error()
        self.is_text = form == "text" or (form == "auto" and self._writer.is_terminal)
        self._line = _text_form(colours=self._writer.is_terminal) if self.is_text else _as_json
        self._draws = form != "json" and self._writer.is_terminal
        self._drawn = False  # True if progress stands on the terminal's current line
        self._writer.notice = self._notice

    def write(self, level: str, logger: str, msg: str, fields: dict[str, object], error: BaseException | None) -> None:
        """Write a line. A field with a reserved name gets a `_` behind it."""
        if level in _TROUBLE:
            _note_trouble(level, msg, fields)
        if LEVELS[level] < self._threshold:
            return
        _counts[level] += 1
        fields = {f"{name}_" if name in _RESERVED else name: value for name, value in fields.items()}
        if error is not None:
            fields["traceback"] = _traceback(error)
        clear = _CLEAR if self._drawn else ""
        self._drawn = False
        self._writer.write(self._bytes(level, logger, msg, fields, clear), urgent=level == "error")

    def show_progress(self, text: str) -> bool:
        if self._draws:
            self._drawn = bool(text)
            self._writer.draw(f"{_CLEAR}{text}".encode())
        return self._draws

    def _notice(self, lines: int) -> bytes:
        msg = "log lines were dropped: what reads stderr is too slow"
        return self._bytes("warning", "logs", msg, {"code": "log-lines-dropped", "lines": lines}, "")

    def _bytes(self, level: str, logger: str, msg: str, fields: dict[str, object], before: str) -> bytes:
        data = self._encoded(level, logger, msg, fields, before)
        for _ in range(_MOST_CUTS):
            over = len(data) - LONGEST
            if over <= 0 or not (fields := _cut_longest(fields, over, f"log line of {logger}")):
                break
            data = self._encoded(level, logger, msg, fields, before)
        return data

    def _encoded(self, level: str, logger: str, msg: str, fields: dict[str, object], before: str) -> bytes:
        line = self._line(level, logger, msg, fields)
        if _scrub is not None:
            line = _scrub(line, f"log line of {logger}")
        return f"{before}{line}\n".encode(errors="backslashreplace")


class _StreamWriter:
    """Writes to a stream with the methods of LogWriter. For tests."""

    notice: Callable[[int], bytes]
    dropped = 0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty()

    def write(self, data: bytes, *, urgent: bool = False) -> None:  # noqa: ARG002 - this writer drops no line
        self.draw(data)

    def draw(self, text: bytes) -> None:
        with suppress(ValueError):  # the stream is closed
            self._stream.write(text.decode())


class _StandardError(io.TextIOBase):
    """The replacement of `sys.stderr`, for warnings and tracebacks of the interpreter. It writes whole lines."""

    encoding = "utf-8"

    def __init__(self, writer: LogWriter) -> None:
        self._writer = writer
        self._partial = ""  # the beginning of a line

    def write(self, text: str) -> int:
        whole, newline, self._partial = f"{self._partial}{text}".rpartition("\n")
        if newline:
            for piece in _pieces(f"{scrubbed(whole, 'stderr')}\n".encode(errors="backslashreplace")):
                self._writer.write(piece)
        return len(text)

    def isatty(self) -> bool:
        return self._writer.is_terminal

    def fileno(self) -> int:
        return _STDERR

    def writable(self) -> bool:
        return True


def _pieces(text: bytes) -> Iterator[bytes]:
    """Yield a text of one or more lines as pieces of at most LONGEST bytes, which do not mix with others."""
    if len(text) <= LONGEST:
        yield text
        return
    for line in text.splitlines():
        for at in range(0, len(line) or 1, LONGEST - 1):
            yield line[at : at + LONGEST - 1] + b"\n"


_counts = dict.fromkeys(LEVELS, 0)  # lines, since the start
_writer: LogWriter | None = None  # a process has one stderr


def _standard_error() -> LogWriter:
    """Return the writer of this process. The first call makes it, and replaces `sys.stderr`."""
    global _writer  # noqa: PLW0603 - a process has one log
    if _writer is None:
        _writer = LogWriter(_STDERR, lambda _lines: b"")
        sys.stderr = _StandardError(_writer)
    return _writer


_output: _Output | _Unconfigured = _Unconfigured()
_scrub: Callable[[str, str], str] | None = None  # None in a process without a secret


class Log:
    """A logger. Its methods take the fields of the line by keyword.

    A warning and an error have a stable `code` in addition, which is an anchor in docs/troubleshooting.md.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, msg: str, /, **fields: object) -> None:
        _output.write("debug", self._name, msg, fields, None)

    def info(self, msg: str, /, **fields: object) -> None:
        _output.write("info", self._name, msg, fields, None)

    def warning(self, msg: str, /, *, code: str, **fields: object) -> None:
        _output.write("warning", self._name, msg, {"code": code, **fields}, None)

    def error(self, msg: str, /, *, code: str, **fields: object) -> None:
        _output.write("error", self._name, msg, {"code": code, **fields}, None)

    def defect(self, msg: str, error: BaseException) -> None:
        """Log an error of our own code, with its traceback."""
        _output.write("error", self._name, msg, {"code": "defect"}, error)


def counts() -> dict[str, int]:
    """Return the number of lines of each level since the start, those that were dropped included."""
    return dict(_counts)


def get(name: str) -> Log:
    return Log(name)


def is_text() -> bool:
    """Return True if lines are for eyes, and not JSON."""
    return isinstance(_output, _Output) and _output.is_text


def show_progress(text: str) -> bool:
    """Show the text, without a line end, if stderr is a terminal. The next line overwrites it. Return True if shown."""
    return _output.show_progress(text)


def configure(
    level: str = "info", form: str = "auto", stream: TextIO | None = None, *, libraries: bool = False
) -> None:
    """Write log lines to the stream (default: stderr) in the format `form`, one of FORMATS.

    `libraries` does the same for the lines of libraries that use `logging`.
    """
    global _output  # noqa: PLW0603 - a process has one log
    _output = _Output(level, form, stream)
    if libraries:
        _forward_libraries(level)


def set_scrubber(scrub: Callable[[str, str], str]) -> None:
    """Let this function remove secrets from all lines (`scrubber`). Its second argument names the output."""
    global _scrub  # noqa: PLW0603 - a process has one log
    _scrub = scrub


def scrubbed(text: str, place: str) -> str:
    """Return the text of another output without a secret. `place` names the output."""
    return text if _scrub is None else _scrub(text, place)


def flush() -> None:
    """Wait a moment until the reader of stderr has taken the lines that wait. Called when the process ends."""
    if _writer is not None:
        _writer.finish()


def dropped_lines() -> int:
    """Return the number of lines that this process has dropped."""
    return 0 if _writer is None else _writer.dropped


def _forward_libraries(level: str) -> None:
    import logging  # noqa: PLC0415 - a job has no library that logs

    class Forwarding(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            level = [name for name, number in LEVELS.items() if number <= record.levelno]
            fields: dict[str, object] = {"code": "library-message"} if record.levelno >= LEVELS["warning"] else {}
            _output.write(level[-1] if level else "debug", record.name, record.getMessage(), fields, error)

    root = logging.getLogger()
    root.handlers[:] = [Forwarding()]
    root.setLevel(level.upper())
    logging.raiseExceptions = False  # a log line never stops the work


def _cut_longest(fields: dict[str, object], over: int, place: str) -> dict[str, object]:
    """Return the fields with the longest text cut by `over` bytes; none if all texts are short.

    Secrets are replaced first, since no search finds the half of one.
    """
    texts = {name: text for name, text in fields.items() if isinstance(text, str)}
    name = max(texts, key=lambda name: len(texts[name]), default="")
    if not name or len(texts[name]) <= _SHORT:
        return {}
    text, left = scrubbed(texts[name], place), max(_SHORT, len(texts[name]) - over - len("…".encode())) - 1
    cut = f"…{text[-left:]}" if name == "traceback" else truncate(text, left)  # its end says what has happened
    return {**fields, name: cut}


def _note_trouble(level: str, msg: str, fields: dict[str, object]) -> None:
    from sidecars.chassis.runtime import troubles  # noqa: PLC0415 - most processes start without a warning

    troubles.note(level, msg, fields)


def _traceback(error: BaseException) -> str:
    import traceback  # noqa: PLC0415 - only for a defect

    return "".join(traceback.format_exception(error)).rstrip("\n")


def _text_form(*, colours: bool) -> Callable[[str, str, str, dict[str, object]], str]:
    """Return the function that makes a line of text."""
    from sidecars.chassis.runtime import log_text  # noqa: PLC0415 - in a container lines are JSON

    coloured = colours and log_text.may_colour()
    return lambda level, logger, msg, fields: log_text.as_text(level, logger, msg, fields, colours=coloured)


def _as_json(level: str, logger: str, msg: str, fields: dict[str, object]) -> str:
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    when = f"{stamp}.{int(now % 1 * 1000):03d}Z"
    return json_text.dumps({"time": when, "level": level, "msg": msg, "logger": logger, **fields})

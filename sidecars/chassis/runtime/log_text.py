"""The form of log lines for eyes on a terminal: columns, and colours by level. Loaded only where lines are text.

    21:40:01 info     logshipper   logshipper 0.1.0: ships /logs/*.log to loki http://loki:3100
    21:40:02 warning  delivery     the sink does not answer                 code=sink-unreachable  sink=default

Time, level, logger and message begin in the same columns in each line; the fields follow. A text of several lines, such
as a traceback, is indented, so that none of its lines looks like a log line. Text of a peer is never obeyed:
characters that are not printable are shown as escapes (`printable`), and only this module writes an escape sequence.
"""

from __future__ import annotations

import os
import time

from sidecars.chassis.runtime.printable import printable

_LEVEL, _LOGGER, _MESSAGE = 7, 11, 44  # columns
_INDENT = " " * (8 + 1 + _LEVEL + 2 + _LOGGER + 2)  # to the column of the message
_OFF = "\x1b[0m"
_DIM = "\x1b[2m"
_LEVELS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[1;31m"}
_MESSAGES = {"debug": "\x1b[2m", "info": "", "warning": "\x1b[33m", "error": "\x1b[1;31m"}


def may_colour() -> bool:
    """Return True if a terminal gets colours: NO_COLOR (https://no-color.org) is unset, and TERM is not `dumb`."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def as_text(level: str, logger: str, msg: str, fields: dict[str, object], *, colours: bool) -> str:
    """Return a line, without its line feed. `colours` makes it coloured."""
    stamp = time.strftime("%H:%M:%S", time.localtime())
    shown = {printable(name): _value(name, value) for name, value in fields.items()}
    message = _indented(msg)
    if shown and "\n" not in message:
        message = message.ljust(_MESSAGE)
    logger = printable(logger)
    if not colours:
        tail = "".join(f"  {name}={value}" for name, value in shown.items())
        return f"{stamp} {level:<{_LEVEL}}  {logger:<{_LOGGER}}  {message}{tail}"
    tail = "".join(f"  {_DIM}{name}={_OFF}{value}" for name, value in shown.items())
    head = f"{_DIM}{stamp}{_OFF} {_LEVELS[level]}{level:<{_LEVEL}}{_OFF}  {_DIM}{logger:<{_LOGGER}}{_OFF}"
    message = f"{_MESSAGES[level]}{message}{_OFF}" if _MESSAGES[level] else message
    return f"{head}  {message}{tail}"


def _value(name: str, value: object) -> str:
    """Return the text of a field. Only a traceback has lines: a peer's line feed could begin a line of its own."""
    text = str(value).lower() if isinstance(value, bool) else str(value)  # as in JSON
    return f"\n{_INDENT}{_indented(text)}" if name == "traceback" else printable(text)


def _indented(text: str) -> str:
    return printable(text, keep="\n").replace("\n", f"\n{_INDENT}")

"""Takes a stack trace out of the text of an event: the type of the exception, its message, and the trace.

| written by | the exception stands |
|---|---|
| Java, .NET, Node.js | in the line before the first `at …`: `a.b.SomeException: message` |
| Python | behind the last traceback: `SomeError: message` |
| Go, Rust | in `panic: message`, and in `thread 'main' panicked at …` with the message in the next line |
| Ruby | in `a.rb:1:in 'x': message (SomeError)` |
| PHP | in `SomeException: message in a.php:1`, before `Stack trace:` |

Only the beginning of a text is searched, in linear time.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_SEARCHED = 64 * 1024  # characters of a text
_NAME = r"(?:[A-Za-z_$][\w$+]*+\.)*+[A-Za-z_$][\w$+]*+"
_FRAME = re.compile(r"\n[ \t]+at ")
_CLASS = re.compile(rf"(?<![\w$.])({_NAME})(?:: |[ ]?\[|\r?(?:\n|\Z))", re.ASCII)
_TRACEBACK = re.compile(r"^[ \t]*(?:\+ Exception Group )?Traceback \(most recent call last\):", re.MULTILINE)
_PYTHON = re.compile(r"^(?:[ |]*)([A-Za-z_][\w.]*+)(?:: ?|\r?$)", re.MULTILINE)
_GO = re.compile(r"^(?:panic|fatal error): |http: panic serving [^\n]*?: ", re.MULTILINE)
_RUST = re.compile(r"^thread '[^'\n]*'[^\n]* panicked at [^\n]*\n", re.MULTILINE)
_RUBY = re.compile(r"^[^\s:]+:\d+:in [`'][^'\n]*': ([^\n]*) \(([A-Z][\w:]*)\)", re.MULTILINE)
_PHP = re.compile(r"^(?:[^\n]*?Uncaught )?(?:\[[^\]\n]*\] )?([A-Za-z_\\][\w\\]*+): ", re.MULTILINE)


class StackTrace(NamedTuple):
    """The parts of a trace. `before`: the text before it, which is the log line."""

    type: str
    message: str
    text: str
    before: str


def find(text: str) -> StackTrace | None:  # noqa: PLR0911 - one for each language
    """Return the stack trace in a text of several lines; None if there is none."""
    if "\n" not in text:
        return None
    head = text[:_SEARCHED]
    if (found := _RUST.search(head)) is not None:
        ends = [end for end in (head.find("\nnote: ", found.end()), head.find("\nstack backtrace:")) if end > 0]
        return _trace(text, found.start(), "panic", head[found.end() : min(ends, default=len(head))])
    if "\ngoroutine " in head and (found := _GO.search(head)) is not None:
        return _trace(text, found.start(), "panic", head[found.end() : head.find("\ngoroutine ")])
    if (found := _RUBY.search(head)) is not None:
        return _trace(text, found.start(), found[2], found[1])
    if (found := _TRACEBACK.search(head)) is not None:
        return _python(text, head, found.start())
    if _FRAME.search(head) is not None:
        return _by_class(text, head)
    end = head.find("\nStack trace:")
    if end > 0 and (found := _PHP.search(head, 0, end)) is not None:
        return _trace(text, found.start(1), found[1], head[found.end() : end].rpartition(" in ")[0])
    return None


def attributes(text: str) -> list[tuple[str, str]]:
    """Return the attributes of OpenTelemetry's semantic conventions for the stack trace in a text, if there is one."""
    trace = find(text)
    if trace is None:
        return []
    parts = (("type", trace.type), ("message", trace.message), ("stacktrace", trace.text))
    return [(f"exception.{name}", value) for name, value in parts if value]


def _by_class(text: str, head: str) -> StackTrace | None:
    """Return the trace that begins with the name of an exception's class."""
    frame = _FRAME.search(head)
    end = len(head) if frame is None else frame.start()
    names = list(_CLASS.finditer(head, 0, end + 1))
    sure = [found for found in names if any(word in found[1] for word in ("Exception", "Error", "Throwable"))]
    likely = [found for found in names if _begins_a_line(head, found.start()) and _is_class(found[1])]
    if not sure and not likely:
        return None
    found = sure[0] if sure else likely[-1]
    message = head[found.end() : end] if found.end() < end else ""
    return _trace(text, found.start(), found[1], re.split(r"\n[ ]+---> ", message, maxsplit=1)[0])


def _begins_a_line(text: str, at: int) -> bool:
    return at == 0 or text[at - 1] == "\n"


def _is_class(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last[0].isupper() and not last.isupper()


def _python(text: str, head: str, start: int) -> StackTrace | None:
    last = start
    for found in _TRACEBACK.finditer(head):
        last = found.end()
    lines = head[last:].split("\n")
    at = next((index for index, line in enumerate(lines) if index and line[:1] not in ("", " ", "\t")), None)
    if at is None:
        return _trace(text, start, "", "")
    found_name = _PYTHON.match(lines[at])
    if found_name is None:
        return _trace(text, start, "", "")
    message = "\n".join([lines[at][found_name.end() :], *lines[at + 1 :]])
    return _trace(text, start, found_name[1], message)


def _trace(text: str, start: int, kind: str, message: str) -> StackTrace:
    return StackTrace(kind, message.strip(), text[start:].rstrip(), text[:start].rstrip())

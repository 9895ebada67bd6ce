r"""The kinds of MULTILINE: how the stack traces of each language are told from other lines.

| kind | a trace |
|---|---|
| `java`, `dotnet`, `node` | `a.b.SomeException: message`, further lines of the message, `\tat …`; `Caused by: …` |
| `python` | `Traceback (most recent call last):`, indented lines, `SomeError: message` and further lines of it |
| `go` | `panic: …`, `goroutine 1 [running]:`, calls, each with an indented line after it |
| `ruby` | `a.rb:1:in 'x': message (SomeError)`, lines of the message, `\tfrom …` or `a.rb:2:in 'y'` |
| `php` | `SomeException: message in a.php:1`, `Stack trace:`, `#0 …`, `Next …` |
| `rust` | `thread 'main' panicked at a.rs:1:2:`, the message, `note: …` or `stack backtrace:` |
| `indent` | a line and the indented lines after it |

`auto` is all of them. `trace_splitter` applies the rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

_BLANK = r"\r?(?:\n|\Z)"
_END = r"\r?(?:\n|\Z)"
_TRACEBACK = r"Traceback \(most recent call last\):"
_INDENTED_LINES = rf"{_TRACEBACK}\r?(?:\n[ \t][^\n]*)*+\Z"  # possessive: it goes back nowhere


@dataclass(frozen=True, slots=True)
class Kind:
    """The rules of one kind, or of several. Regexes match at the beginning of a line in linear time.

    A *framed* event has a line of a stack: it is a trace.
    """

    continues: str = ""  # the line belongs to the event before it, whatever that is
    frames: tuple[str, ...] = ()  # texts that only a framed event has, behind its first line
    mentions: tuple[str, ...] = ()  # texts of a line after which lines of a message may stand, up to the first frame
    classes: bool = False  # True: the name of a class at the beginning of a line may begin a trace
    heads: str = ""  # the line begins a trace: it belongs to an event without a frame
    goes_on: str = ""  # the line belongs to a framed event
    expects: str = ""  # the block is such that the next line belongs to it
    last_line: str = ""  # the last line of the block is such that the next line belongs to it
    messages: bool = False  # True: a message has further lines after the line that `expects` announces
    begins: str = ""  # beginnings of the lines of which `expects` tells; a text without any has no use for it


_FRAMES = ("\n\tat ", "\n\t\tat ", "\n    at ", "\n      at ", "\n   at ", "\n\t... ", "\n\t\t... ")
_CLASSES = Kind(
    frames=_FRAMES,
    mentions=("Exception", "Error", "Throwable", "Caused by: ", "Suppressed: ", "Wrapped by: "),
    classes=True,
)


def _joined(kinds: list[Kind]) -> Kind:
    """Return one kind with the rules of all."""
    values: dict[str, Any] = {}
    for field in fields(Kind):
        each: list[Any] = [value for kind in kinds if (value := getattr(kind, field.name))]
        if not each or isinstance(each[0], bool):
            values[field.name] = bool(each) if isinstance(field.default, bool) else field.default
        elif isinstance(each[0], str):
            values[field.name] = "|".join(dict.fromkeys(each))
        else:
            values[field.name] = tuple(dict.fromkeys(text for texts in each for text in texts))
    return Kind(**values)


_INDENT = Kind(rf"[ \t]|{_BLANK}")
_KINDS = {
    "java": [
        _CLASSES,
        Kind(r"Caused by: |Wrapped by: |Suppressed: |\[CIRCULAR REFERENCE|\.\.\. \d+ (?:more|common frames)"),
    ],
    "python": [
        Kind(
            r"During handling of the above exception, |The above exception was the direct cause "
            r"|\[SQL: |\[parameters: |\(Background on this error at: ",  # SQLAlchemy's messages
            frames=(),
            heads=_TRACEBACK,
            expects=_INDENTED_LINES,
            last_line=r"(?:During handling of the above exception, another exception occurred"
            r"|The above exception was the direct cause of the following exception):\Z",
            messages=True,
            begins=_TRACEBACK,
        )
    ],
    "go": [
        Kind(
            r"goroutine \d+ |\[signal \w|exit status \d|\.\.\.(?:additional|\d+) frames"
            rf"|created by [\w./*(){{}}\[\]-]+(?: in goroutine \d+)?{_END}",
            frames=("\ngoroutine ",),
            mentions=("panic: ", "fatal error: ", "panic serving "),
            goes_on=r"[^\s(]+\([^\n]*\)\r?\n\t[^\n]*:\d",  # a call, with its place in the next line
            last_line=r"panic: .*\[recovered(?:, repanicked)?\]\Z",
            begins="panic: ",
        )
    ],
    "ruby": [
        Kind(
            rf"[^\s:]+:\d+:in [`'][^'\n]*'{_END}|Did you mean\?  ",
            frames=("\n\tfrom ", ":in `", ":in '", ": from "),
            mentions=(":in `", ":in '", "ERROR -- ", "FATAL -- "),
            goes_on=r"[^\s:]+:\d+:in [`'][^\n']*': ",  # the cause
            expects=_INDENTED_LINES,
            begins=_TRACEBACK,
        )
    ],
    "php": [
        Kind(
            rf"Stack trace:{_END}|#\d+ (?:\{{main\}}|\[internal function\]|[^\s(:]+[(:])|Next [\w\\]+(?:: | in )"
            rf'|\[(?:stacktrace|previous exception)\]|"\}}[ \t]*{_END}',
            frames=("\nStack trace:", "\n#0 "),
            mentions=("Exception", "Error", "Uncaught ", "Next "),
        )
    ],
    "node": [
        _CLASSES,
        Kind(
            rf"\}}(?:,| \{{)?{_END}|\^+{_END}|Node\.js v\d",
            expects=r"(?:/|file:|node:)[^\n]*:\d+\r?\Z",  # the place of an uncaught error: its source is next
            begins="/|file:|node:",
        ),
    ],
    "dotnet": [_CLASSES, Kind(r"--- End of (?:inner exception stack trace|stack trace from previous location)")],
    "rust": [
        Kind(
            rf"note: (?:run with|[Ss]ome details)|stack backtrace:{_END}|Stack backtrace:{_END}|Caused by:{_END}",
            frames=("\nstack backtrace:", "\nnote: "),
            mentions=("panicked at ",),
            expects=r"thread '[^'\n]*'(?: \(\d+\))? panicked at [^\n]*:\d+:\d+:\s*+\Z",
            begins="thread '",
        )
    ],
    "indent": [],
}
AUTO = "auto"
NAMES = (*_KINDS, AUTO)

LOG_LINE_PATTERN = (
    r"[\[<(\"']?(?:"
    r"\d{4}[-/.]\d\d[-/.]\d\d"  # 2026-01-31
    r"|\d\d?[-/. ](?:\d\d|[A-Z][a-z]{2})[-/. ]\d\d"  # 31-Jan-2026, 31/01/26
    r"|\d\d:\d\d[:.]\d\d"
    r"|[A-Z][a-z]{2} [ \d]\d,? \d\d"  # Jan 31 10:00, Jan 31, 2026
    r"|[A-Z][a-z]{2},? (?:[A-Z][a-z]{2} )?[ \d]\d "  # Sat Jan 31 10:00
    r"|\d{10}(?:\d{3})?(?:[.,]\d+)?[\s\]|]"  # seconds or milliseconds since 1970
    r"|(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|ERR|CRITICAL|CRIT|SEVERE|FATAL|ALERT|EMERG)(?![A-Za-z0-9_])"
    r"|(?:trace|trce|debug|dbug|info|warn(?:ing)?|error|fail|crit(?:ical)?|fatal)[\]:|]"
    r"|[DIWEF], \["  # Ruby's Logger
    r"|[IWEF]\d{4} \d\d:"  # klog
    r"|\d{1,3}>"  # syslog
    r"|(?:time|ts|level|lvl|at|severity)="
    r"|PHP [A-Z][a-z]+(?: [a-z]+)?: "
    r")|\{\""
)
LOG_LINE = re.compile(LOG_LINE_PATTERN, re.ASCII).match
"""Matches the beginning of a line that a logger writes: no line of a stack trace or of its message."""


def find(value: str) -> Kind | None:
    """Return the rules of a kind, or of a list such as `java,python`; None if one of the names is not known."""
    names = [*_KINDS] if value == AUTO else [name.strip() for name in value.split(",")]
    if not all(name in _KINDS for name in names):
        return None
    return _joined([_INDENT, *(kind for name in names for kind in _KINDS[name])])


def is_kind(value: str) -> bool:
    """True if a value of MULTILINE is a kind or a list; any other one but `none` is the regex of a first line."""
    return find(value) is not None

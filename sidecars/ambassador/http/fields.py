"""Header and trailer field lines: the strict grammar of one line, and a bounded memory of lines already judged.

A connection repeats most of its field lines from message to message, and neighbours on other connections send the same
ones. So the judgement of a line (is it well-formed; is it ours to act on; how do we write it) is remembered by the
line's exact bytes. What is remembered is our own serialisation, `Name: value` with the blanks that we choose, and it
is what a fresh judgement would give: the memory saves time and decides nothing. It holds nothing that has come only
once, no field that carries a secret, and forgets everything when it is full.

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

# Fields that a message's framing or its way through us depends on. They are acted on, never simply passed.
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

# RFC 9110 section 6.5.1: a trailer never frames, routes or controls the message that it ends.
_NOT_IN_TRAILERS: Final = (
    CONTROL_FIELDS | _SECRET | {b"trailer", b"content-encoding", b"content-type", b"content-range"}
)
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"host"})

_CONNECTION_OPTIONS: Final = frozenset({b"close", b"keep-alive", b"upgrade", b"te"})  # they name no field of their own
AUTHORITY: Final = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{0,5})?")
_NUMBER: Final = re.compile(rb"[0-9]{1,18}")

_REMEMBERED_LINES: Final = 2048
_REMEMBERED_LENGTH: Final = 256  # bytes
_HASHES: Final = 1024


class FieldSyntaxError(Exception):
    """The line is not what the grammar allows. The message never repeats the line: it may carry a secret."""


class SecretLine:
    """A serialised line that may carry a secret, so that nothing which holds it is remembered."""

    __slots__ = ("line",)

    def __init__(self, line: bytes) -> None:
        self.line = line


class ControlField:
    """A field that is acted on, with what can be said of it once and for all.

    `items` are its comma-separated items in lower case, `listed` those that name fields to be dropped (of Connection),
    `number` is its value where that is a plain decimal number, else -1; `authority` tells whether it is a host, with or
    without a port. `line` is how we write it.
    """

    __slots__ = ("authority", "items", "line", "listed", "name", "number", "value")

    def __init__(self, name: bytes, value: bytes, line: bytes) -> None:
        self.name = name
        self.value = value
        self.number = int(value) if _NUMBER.fullmatch(value) else -1
        self.authority = AUTHORITY.fullmatch(value) is not None
        self.line = b"Content-Length: %d\r\n" % self.number if name == b"content-length" else line
        self.items = list_items(value)
        self.listed = tuple(item for item in self.items if item not in _CONNECTION_OPTIONS)


class Doorkeeper:
    """Tells whether something has been seen not long ago, without keeping it: what comes only once is forgotten."""

    __slots__ = ("_hashes",)

    def __init__(self) -> None:
        self._hashes = [0] * _HASHES

    def seen(self, what: bytes) -> bool:
        """Whether this has been asked before, and not too many others since. A mistake would cost only memory."""
        mark = hash(what)
        place = mark % _HASHES
        if self._hashes[place] == mark:
            return True
        self._hashes[place] = mark
        return False


class FieldLineCache(dict[bytes, "bytes | ControlField | SecretLine"]):
    """Field lines (without their CRLF) and what they are: our serialisation with CRLF, or a `ControlField`,
    or a `SecretLine`.

    Looking up a line that is not there judges it. Raises BadSyntax.
    """

    def __init__(self) -> None:
        super().__init__()
        self._twice = Doorkeeper()

    def __missing__(self, line: bytes) -> bytes | ControlField | SecretLine:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise FieldSyntaxError(_what_is_wrong(line))
        name, value = found[1], found[2].strip(b"\t ")
        lower = name.lower()
        ours = b"%b: %b\r\n" % (name, value)
        if lower in _SECRET:
            return SecretLine(ours)
        judged = ControlField(lower, value, ours) if lower in CONTROL_FIELDS else ours
        if len(line) <= _REMEMBERED_LENGTH and self._twice.seen(line):
            if len(self) >= _REMEMBERED_LINES:
                self.clear()
            self[line] = judged
        return judged


FIELD_LINES: Final = FieldLineCache()


def parse_field_lines(lines: Iterable[bytes]) -> tuple[list[bytes], list[ControlField], bool]:
    """The lines of one head: those that pass, those that are acted on, and whether one is secret. Raises BadSyntax."""
    out: list[bytes] = []
    acted: list[ControlField] = []
    private = False
    for field in map(FIELD_LINES.__getitem__, lines):
        if isinstance(field, bytes):
            out.append(field)
        elif isinstance(field, ControlField):
            acted.append(field)
        else:
            out.append(field.line)
            private = True
    return out, acted, private


def list_items(value: bytes) -> tuple[bytes, ...]:
    """The items of a comma-separated value, in lower case, empty ones left out (RFC 9110 section 5.6.1)."""
    return tuple([item for item in [item.strip(b"\t ") for item in value.lower().split(b",")] if item])


def field_name(line: bytes) -> bytes:
    """The name in lower case of a line that we have serialised."""
    return line[: line.index(b":")].lower()


def parse_trailer(line: bytes) -> bytes:
    """The line as a trailer, b"" where it does not belong there and is dropped. Raises BadSyntax."""
    judged = FIELD_LINES[line]
    ours = judged if isinstance(judged, bytes) else judged.line
    name = field_name(ours)
    if name in _FRAMING:
        raise FieldSyntaxError("a trailer tries to frame or route the message")
    return b"" if name in _NOT_IN_TRAILERS else ours


def _what_is_wrong(line: bytes) -> str:
    if line[:1] in (b" ", b"\t"):
        return "a field line begins with a blank: folded lines are obsolete and ambiguous"
    name, colon, _ = line.partition(b":")
    if not colon:
        return "a field line has no colon"
    if name[-1:] in (b" ", b"\t"):
        return "a blank stands between a field's name and its colon"
    if not re.fullmatch(TOKEN, name):
        return "a field's name holds a character that no name may have"
    return "a field's value holds a control character"

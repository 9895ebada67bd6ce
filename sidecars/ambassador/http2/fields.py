"""One field of a head or of trailers, with its check and its re-encoded forms, which are computed once.

The decoder's table keeps `Field` objects. So a field that a peer repeats by its index costs a pointer: it was checked
when it came first, and its bytes for the next hop are there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http2.encoder import SECRET, encode_field

# RFC 9113 section 8.2.1: names in lower case; values without NUL, CR and LF, and without blanks around them. We accept
# no other control character either, as in HTTP/1.1 (RFC 9110 section 5.5).
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_VALUE: Final = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?").fullmatch
_DECIMAL: Final = re.compile(rb"[0-9]{1,18}").fullmatch

OVERHEAD: Final = 32  # bytes that each field counts beside its name and value (RFC 7541 section 4.1)

# What a field is for, by its name. All numbers above REGULAR need more than to be passed on.
REGULAR: Final = 0
PSEUDO: Final = 1  # :method, :scheme, :authority, :path, :status
HOST: Final = 2
CONTENT_LENGTH: Final = 3
TE: Final = 4
EXPECT: Final = 5
MAX_FORWARDS: Final = 6
COOKIE: Final = 7
GRPC_TIMEOUT: Final = 8  # written anew for each attempt of a call
HOP_BY_HOP: Final = 9  # dropped without a word
MALFORMED: Final = 10  # the check has failed: `problem` says why

# RFC 9113 section 8.2.2: a message with one of them is malformed.
_OF_A_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_OF_AN_UPGRADE: Final = frozenset({b"connection", b"upgrade"})
_PSEUDO: Final = frozenset({b":authority", b":method", b":path", b":scheme", b":status"})
_KINDS: Final = {
    b"host": HOST,
    b"content-length": CONTENT_LENGTH,
    b"te": TE,
    b"expect": EXPECT,
    b"max-forwards": MAX_FORWARDS,
    b"cookie": COOKIE,
    b"grpc-timeout": GRPC_TIMEOUT,
    b"http2-settings": HOP_BY_HOP,
}

# RFC 9110 section 6.5.1: a trailer never frames, routes or controls the message that it ends.
_FRAMING: Final = frozenset({b"content-length", b"host"})
_NOT_IN_TRAILERS: Final = SECRET | {
    b"content-encoding",
    b"content-range",
    b"content-type",
    b"expect",
    b"http2-settings",
    b"max-forwards",
    b"te",
    b"trailer",
}


class Field:
    """One field as a peer has sent it: name, value, and True in `never` if no hop may index it.

    It is never changed. The decoder's table, its memo and the heads share it.
    """

    __slots__ = ("_encoded", "_kind", "_line", "name", "never", "problem", "value")

    def __init__(self, name: bytes, value: bytes, *, never: bool = False, line: bytes = b"") -> None:
        """`line` is the line of HTTP/1.1, with CRLF, if it is known already: its name may have upper-case letters."""
        self.name = name
        self.value = value
        self.never = never
        self.problem = ""  # a clause without the value, which may be a secret; known once `kind` is MALFORMED
        self._kind = -1  # not checked yet
        self._encoded = b""
        self._line = line

    @property
    def size(self) -> int:
        """The bytes that the field counts for limits (RFC 7541 section 4.1)."""
        return len(self.name) + len(self.value) + OVERHEAD

    @property
    def kind(self) -> int:
        """REGULAR, or one of the other numbers above; MALFORMED if it may be in no message."""
        if self._kind < 0:
            self._kind = self._check()
        return self._kind

    @property
    def number(self) -> int:
        """The value if it is a plain decimal number, else -1."""
        return int(self.value) if _DECIMAL(self.value) is not None else -1

    @property
    def is_secret(self) -> bool:
        """True if the field may carry a secret: nothing that holds it is cached beyond its connection."""
        return self.never or self.name in SECRET

    def encoded(self) -> bytes:
        """Return the field in our encoding of HPACK, which needs no state. Only for a field that is checked."""
        if not self._encoded:
            self._encoded = encode_field(self.name, self.value, never=self.never)
        return self._encoded

    def line(self) -> bytes:
        """Return the line of HTTP/1.1, with CRLF. Only for a field that is checked."""
        if not self._line:
            self._line = b"%b: %b\r\n" % (self.name, self.value)
        return self._line

    def _check(self) -> int:
        name, value = self.name, self.value
        if name in _PSEUDO:
            if _VALUE(value) is not None:
                return PSEUDO
            self.problem = f"the value of {name.decode()} holds a control character or a blank at its end"
            return MALFORMED
        if _NAME(name) is None:
            self.problem = _problem_of_name(name)
        elif _VALUE(value) is None:
            self.problem = f"the value of {name.decode()[:64]} holds a control character or a blank at its end"
        elif name in _OF_A_CONNECTION:
            self.problem = f"HTTP/2 has no field {name.decode()}"
            if name in _OF_AN_UPGRADE:
                self.problem += ": an upgrade, such as WebSocket, needs HTTP/1.1"
        elif name == b"te" and value.lower() != b"trailers":
            self.problem = "its TE is not trailers"
        else:
            return _KINDS.get(name, REGULAR)
        return MALFORMED


def encode_all(fields: Sequence[Field]) -> bytes:
    """Return these fields, which are checked, in our encoding of HPACK. Most calls end with one."""
    if len(fields) == 1:
        return fields[0].encoded()
    return b"".join([field.encoded() for field in fields])


def trailer_problem(field: Field) -> str:
    """Return the reason why no message may have this trailer, "" if it may."""
    kind = field.kind
    if kind == MALFORMED:
        return field.problem
    if kind == PSEUDO:
        return f"{field.name.decode()} stands in the trailers"
    if field.name in _FRAMING:
        return "a trailer tries to frame or route the message"
    return ""


def is_dropped_trailer(field: Field) -> bool:
    """Return True if this trailer, which is well-formed, is not passed on (RFC 9110 section 6.5.1)."""
    return field.name in _NOT_IN_TRAILERS


def _problem_of_name(name: bytes) -> str:
    if not name:
        return "a field has no name"
    if name[:1] == b":":
        if name == b":protocol":
            return "WebSocket over HTTP/2 (RFC 8441) is not spoken here: let the app open it over HTTP/1.1"
        return "a pseudo-field is not known"
    if name.lower() != name:
        return "a field's name has an upper-case letter"
    return "a field's name holds a character that is not allowed in names"

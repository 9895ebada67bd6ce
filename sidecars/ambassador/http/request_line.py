"""The request line: method, target and version (RFC 9112 section 3). No I/O.

The common case, a path in HTTP/1.1, is matched by METHOD_TARGET_VERSION alone. This module has the rest: targets that
are not a path, methods that are not forwarded, and the reason why a line is malformed.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from sidecars.ambassador.http.fields import AUTHORITY, TOKEN
from sidecars.ambassador.http.head_rules import MessageRejected, detect_protocol

METHOD_TARGET_VERSION: Final = re.compile(rb"(" + TOKEN + rb") ([\x21\x22\x24-\x7e]+) HTTP/1\.([01])").fullmatch
NOT_FORWARDED: Final = frozenset({b"CONNECT", b"TRACE"})

_LONGEST_NAME: Final = 260  # bytes of a name in DNS, and of a port
_VERSION: Final = re.compile(rb"HTTP/[0-9](?:\.[0-9])?").fullmatch
_METHOD: Final = re.compile(TOKEN).fullmatch
_ABSOLUTE: Final = re.compile(rb"[hH][tT][tT][pP]://([^/?]*)([/?].*)?", re.DOTALL).fullmatch


def parse_unusual_target(method: bytes, target: bytes, authorities: Collection[bytes]) -> tuple[bytes, bytes]:
    """Parse a target that is not a path: `*` or an absolute URL.

    Return the target to send on and the authority that the URL names (b"" for `*`). `authorities` are those that a URL
    may name, in lower case; `*.local` stands for all names below `local`. Raises MessageRejected: 421 for another
    authority, 400 for any other form.
    """
    if target == b"*" and method == b"OPTIONS":
        return target, b""
    found = _ABSOLUTE(target)
    if found is None:
        raise MessageRejected(400, "malformed request: its target is neither a path nor an http URL")
    authority, rest = found[1].lower(), found[2] or b""
    if AUTHORITY.fullmatch(authority) is None:
        raise MessageRejected(400, "malformed request: the authority in its target is not a host name or address")
    if authority not in authorities and not _is_below(authority, authorities):
        raise MessageRejected(421, "the request is for another host: this is not an open proxy")
    if not rest and method == b"OPTIONS":
        return b"*", authority  # RFC 9112 section 3.2.4
    return (rest if rest[:1] == b"/" else b"/" + rest), authority


def _is_below(authority: bytes, authorities: Collection[bytes]) -> bool:
    """Return True if one of the authorities is `*.` and a domain above this one, with the same port."""
    parent = authority if len(authority) <= _LONGEST_NAME else b""
    while parent:
        _, _, parent = parent.partition(b".")
        if parent and b"*." + parent in authorities:
            return True
    return False


def bad_request_line(line: bytes) -> MessageRejected:
    """Return the rejection of a request line, with the cause where it is clear."""
    other = detect_protocol(line, 400)
    if other is not None:
        return other
    method, _, rest = line.partition(b" ")
    target, _, version = rest.rpartition(b" ")
    known = version in (b"HTTP/1.1", b"HTTP/1.0")
    if not known and target and _VERSION(version):
        return MessageRejected(505, "the request is not in HTTP/1.1 or HTTP/1.0")
    cause = "its first line is not `METHOD target HTTP/1.1`"
    if line.endswith(b" ") or b"  " in line or b" " in target:
        cause = "its first line has a blank too many: one in a target is written %20"
    elif not (known and target):
        pass
    elif not _METHOD(method):
        cause = "its method holds a character that is not allowed in methods"
    elif not target.isascii():
        cause = "its target holds letters beyond ASCII, which must be percent-encoded UTF-8, such as %C3%A9"
    elif b"#" in target:
        cause = "its target holds a fragment (#), which a client never sends"
    else:
        cause = "its target holds a control character"
    return MessageRejected(400, f"malformed request: {cause}")


def rejected_method(method: bytes) -> MessageRejected:
    """Return the rejection of a method of NOT_FORWARDED."""
    if method == b"CONNECT":
        return MessageRejected(501, "CONNECT is not offered: this is not an open proxy")
    return MessageRejected(405, "TRACE is not passed on: it would reflect credentials")

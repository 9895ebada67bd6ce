"""The copy of a request for a mirror, in any protocol. No I/O.

It has the fields that the app's upstream gets, with these differences:

- fields that HEADERS of the app's upstream adds are taken out: one may be a credential for that upstream alone. Its
  TOKEN and other credentials were never among these fields: the attempt writes them;
- fields that the app's upstream writes anew for each attempt (`traceparent`, a request id, a deadline) are in it as the
  app has sent them, or are kept aside for the mirror's upstream;
- HEADERS of the mirror's upstream are applied, and its own credentials are sent;
- no `Expect`: the whole body is there; no Upgrade: such a request is not copied;
- a mark (MIRROR_MARK), so that the receiver knows: a field, or Envoy's `-shadow` behind the name in its host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.config.beside_settings import MARK_FIELD, MARK_HOST
from sidecars.ambassador.http.fields import announced
from sidecars.ambassador.http.head_rules import CHUNKED
from sidecars.ambassador.http.hpack_lines import encode_lines, encode_secrets, encode_start
from sidecars.ambassador.http.messages import Request
from sidecars.ambassador.http.request_head import CombinedEdits

_MARK: Final = b"X-Shadow"
_SUFFIX: Final = b"-shadow"
_LEFT_OUT: Final = frozenset({b"expect"})
_TIMEOUT: Final = b"grpc-timeout"


class CopiedRequest(Request):
    """A copy. Its exchange owns it."""

    def __init__(self, request: Request, rules: CopyRules) -> None:
        self.method = request.method
        self.target = request.target
        self.host = request.host
        self.minor = 1
        self.idempotent = request.idempotent
        if request.is_grpc:
            self.is_grpc = True
            self.grpc_timeout = request.grpc_timeout
        if request.is_head:
            self.is_head = True
        self.length = request.length
        self.body_is_unusual = request.body_is_unusual
        self._rules = rules
        found = rules.lines_of(request)
        lines = rules.kept(found)
        self._taken = rules.taken_of(found)
        self._after_host: bytes = b"\r\n%b\r\n\r\n" % b"\r\n".join([*lines, *rules.added])
        self._timeout: Sequence[bytes] = [line for line in lines if _name(line) == _TIMEOUT]

    def head(self, authority: bytes, credentials: bytes = b"") -> bytes:
        host = self._rules.mark_host(authority)
        return b"%b %b HTTP/1.1\r\nHost: %b%b%b" % (self.method, self.target, host, credentials, self._after_host)

    def block(self, scheme: bytes, authority: bytes, credentials: bytes = b"") -> bytes:
        start = encode_start(self.method, scheme, self._rules.mark_host(authority), self.target)
        after_host = self._after_host
        if self.attempt_fields:  # it has what is left of the time
            for line in self._timeout:
                after_host = after_host.replace(b"\r\n%b\r\n" % line, b"\r\n", 1)
        secrets = encode_secrets(credentials) if credentials else b""
        return b"%b%b%b%b" % (start, secrets, encode_lines(after_host), self.attempt_fields)

    def announce(self, length: int) -> None:
        self.length = length
        self._after_host = announced(self._after_host, length, expects=False)

    def host_sent(self, authority: bytes) -> bytes:
        return self._rules.mark_host(authority)

    def lines(self) -> bytes:
        return self._after_host

    def taken(self) -> Sequence[tuple[bytes, bytes]]:
        return self._taken

    def value(self, name: bytes) -> bytes:
        for line in self._after_host.split(b"\r\n"):
            if line and _name(line) == name:
                return line.partition(b": ")[2]
        return b""


class CopyRules:
    """How requests to one upstream are changed for the mirror. The mirror owns them."""

    def __init__(self, own: CombinedEdits, others: CombinedEdits, mark: str, name: str) -> None:
        """`own`: the edits of the app's upstream, whose name is `name`; `others`: those of the mirror's upstream."""
        self._own = b"".join(own.added)
        self._removed: frozenset[bytes] = others.removed | _LEFT_OUT
        self._others_taken: frozenset[bytes] = others.taken
        self.added: list[bytes] = [line[:-2] for line in others.added]
        self._marks_host = mark == MARK_HOST
        if mark == MARK_FIELD:
            self._removed |= {_MARK.lower()}
            self.added.append(b"%b: %b" % (_MARK, name.encode()))

    def lines_of(self, request: Request) -> list[bytes]:
        """Return the field lines that the app has sent, each without its CR LF."""
        whole = request.head(b"")
        after_host = whole[len(request.method) + len(request.target) + len(b"  HTTP/1.1\r\nHost: ") : -4]
        if self._own:  # the last time that it is there: what the app sent comes before it
            before, _, behind = (after_host + b"\r\n").rpartition(b"\r\n" + self._own)
            after_host = b"%b\r\n%b" % (before, behind)
        return [line for line in after_host.split(b"\r\n") if line] + [b"%b: %b" % each for each in request.taken()]

    def kept(self, lines: Sequence[bytes]) -> list[bytes]:
        """Return those lines that are in a copy."""
        return [line for line in lines if _name(line) not in self._removed]

    def taken_of(self, lines: Sequence[bytes]) -> Sequence[tuple[bytes, bytes]]:
        """Return the fields that the mirror's upstream keeps aside: names in lower case, and values."""
        taken = self._others_taken
        return [(_name(line), line.partition(b": ")[2]) for line in lines if _name(line) in taken] if taken else ()

    def mark_host(self, authority: bytes) -> bytes:
        """Return the authority with the mark behind the name. An address keeps its form: it has no names in it."""
        if not self._marks_host or authority.startswith(b"["):
            return authority
        name, colon, port = authority.partition(b":")
        return b"%b%b%b%b" % (name, _SUFFIX, colon, port)


def is_longer(length: int, limit: int) -> bool:
    """Return True if a body of this announced length is longer than the limit."""
    return length != CHUNKED and length > limit


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()

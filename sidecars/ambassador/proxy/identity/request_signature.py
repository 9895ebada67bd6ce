"""AWS Signature Version 4 of a request as it is sent, from the bytes of its parts. No I/O; the time is passed in.

`sidecars.chassis.identity.aws_signature` has the rules, and signs the same way. This one is for a request a
millisecond: the key of the day and the text of the second are kept, and only paths and queries that need it are encoded
anew.

Signed are Host, Content-Type, Content-MD5 and all fields `X-Amz-…`, those of the app and ours. Others may be changed on
the way, and say nothing that AWS would take from them alone. A name that comes several times is signed with all values.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Sequence
from typing import Final

from sidecars.ambassador.http.messages import Request
from sidecars.chassis.identity import aws_signature
from sidecars.chassis.identity.aws_signature import AwsKeys, Scope

EMPTY_BODY: Final = aws_signature.EMPTY_BODY.encode()
UNSIGNED: Final = b"UNSIGNED-PAYLOAD"
CHUNKS: Final = b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"

_SIGNED_FIELDS: Final = re.compile(
    rb"(?<=\r\n)(content-type|content-md5|x-amz-[^:\r]+): ([^\r]*)(?=\r\n|$)", re.IGNORECASE
).findall
_PLAIN_PATH: Final = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+").fullmatch  # it is its own canonical form
_BLANKS: Final = re.compile(rb"[\t ]+")


class Seed:
    """The signature of a head, on which those of the chunks behind it build."""

    __slots__ = ("date", "key", "scope", "signature")

    def __init__(self, key: bytes, date: bytes, scope: bytes, signature: bytes) -> None:
        self.key = key
        self.date = date
        self.scope = scope
        self.signature = signature  # hexadecimal


class Signer:
    """Signs the requests of one upstream with one set of keys."""

    def __init__(self, keys: AwsKeys, scope: Scope) -> None:
        self._keys = keys
        self._scope = scope
        self._is_s3 = scope.service.startswith("s3")
        self._second = -1
        self._date = b""
        self._key = b""
        self._scope_of_day = b""
        self._intro = b""
        token = keys.session_token
        self._token: bytes = token.encode() if token else b""

    def sign(
        self,
        request: Request,
        authority: bytes,
        content_hash: bytes,
        more: Sequence[tuple[bytes, bytes]],
        now: float,
    ) -> tuple[bytes, Seed]:
        """Return the field lines to add, each behind a CR LF, and the seed for signatures of chunks.

        - `authority`: the value of Host that is sent.
        - `content_hash`: the body's SHA-256 in hexadecimal, UNSIGNED or CHUNKS.
        - `more`: further fields of ours to sign, with names in lower case.
        - `now`: seconds since 1970.
        """
        second = int(now)
        if second != self._second:
            self._tick(second)
        fields: list[tuple[bytes, bytes]] = [(b"host", authority), (b"x-amz-date", self._date), *more]
        if self._token:
            fields.append((b"x-amz-security-token", self._token))
        added = b"\r\nX-Amz-Date: %b" % self._date
        for name, value in more:
            added += b"\r\n%b: %b" % (name, value)
        if self._token:
            added += b"\r\nX-Amz-Security-Token: %b" % self._token
        for name, value in _SIGNED_FIELDS(request.lines()):
            fields.append((name.lower(), _BLANKS.sub(b" ", value.strip(b"\t "))))
        fields.sort(key=_name)
        canonical, names = _canonical_fields(fields)
        path, _, query = request.target.partition(b"?")
        whole = b"%b\n%b\n%b\n%b\n%b\n%b" % (
            request.method,
            self._path(path),
            _query(query),
            canonical,
            names,
            content_hash,
        )
        digest = hashlib.sha256(whole).hexdigest().encode()
        text = b"AWS4-HMAC-SHA256\n%b\n%b\n%b" % (self._date, self._scope_of_day, digest)
        signature = hmac.digest(self._key, text, "sha256").hex().encode()
        added += b"\r\nAuthorization: %bSignedHeaders=%b, Signature=%b" % (self._intro, names, signature)
        return added, Seed(self._key, self._date, self._scope_of_day, signature)

    def _tick(self, second: int) -> None:
        """Make the values that depend on the second, and on the day."""
        self._second = second
        self._date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second)).encode()
        day = self._date[:8].decode()
        scope = self._scope.of(day).encode()
        if scope != self._scope_of_day:
            self._scope_of_day = scope
            self._key = aws_signature.signing_key(self._keys, self._scope, day)
            self._intro = b"AWS4-HMAC-SHA256 Credential=%b/%b, " % (self._keys.access_key.encode(), scope)

    def _path(self, path: bytes) -> bytes:
        if self._is_s3 or _PLAIN_PATH(path):
            return path or b"/"
        return aws_signature.canonical_path(path.decode("latin-1"), self._scope).encode()


def _name(field: tuple[bytes, bytes]) -> bytes:
    return field[0]


def _query(query: bytes) -> bytes:
    """Return the query as it is signed. A `+` is a blank, as the services decode it."""
    return aws_signature.canonical_query(query.decode("latin-1").replace("+", "%20")).encode() if query else b""


def _canonical_fields(fields: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """Return the canonical header of fields in the order of their names, and these names."""
    names: list[bytes] = []
    lines: list[bytes] = []
    for name, value in fields:
        if names and names[-1] == name:
            lines[-1] += b"," + value
        else:
            names.append(name)
            lines.append(b"%b:%b" % (name, value))
    return b"\n".join(lines) + b"\n", b";".join(names)

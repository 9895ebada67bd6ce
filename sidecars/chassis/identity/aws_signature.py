"""AWS Signature Version 4, in the header of a request or in its query (presigned). Pure: the time is passed in.

The signature covers the method, the path, the query, the signed header fields and the hash of the body:

    canonical request ─► string to sign (its hash, the time, the scope) ─► HMAC with a key of the day ─► hexadecimal

- Every path is percent-encoded once as it is sent. In the canonical request of every service but S3 it is encoded
  once more, after `.`, `..` and empty segments are removed. S3 takes the path as it is sent.
- Names and values of the query are percent-encoded and sorted. Only `A-Z a-z 0-9 - . _ ~` stay as they are; a blank is
  `%20`, and never `+`. In the canonical request they are encoded anew, so any valid target can be signed.
- A session token is a signed header field, or a parameter of a presigned query.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

EMPTY_BODY = hashlib.sha256(b"").hexdigest()
"""The hash of a body without bytes."""
UNSIGNED_BODY = "UNSIGNED-PAYLOAD"
"""Stands for the hash of a body that a presigned request to S3 may have."""
LONGEST_PRESIGNED = 7 * 24 * 3600
"""Seconds for which a presigned request is valid at most."""

_ALGORITHM = "AWS4-HMAC-SHA256"
_NEVER_ENCODED = "-._~"  # beside letters and digits


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """The credentials of one caller. `expires`: seconds since 1970 at which they end; None: never."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """The service and the region that a signature is for, such as `s3` and `eu-central-1`."""

    service: str
    region: str

    def of(self, date: str) -> str:
        """Return the credential scope of a day (`YYYYMMDD`)."""
        return f"{date}/{self.region}/{self.service}/aws4_request"


def encoded(text: str, safe: str = "") -> str:
    """Return the text in UTF-8, percent-encoded as a part of a target. `safe`: characters that stay, such as `/`."""
    return quote(text, safe=_NEVER_ENCODED + safe)


def body_hash(blocks: Iterable[bytes]) -> str:
    """Return the SHA-256 of a body in hexadecimal, as `x-amz-content-sha256` has it."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Request:
    """A request to sign.

    `target`: path and query as they are sent. `fields`: the header fields to sign; Host must be one of them.
    `content_hash`: see `body_hash`.
    """

    method: str
    target: str
    fields: Sequence[tuple[str, str]]
    content_hash: str = EMPTY_BODY


def signed_fields(keys: AwsKeys, scope: Scope, request: Request, now: float) -> list[tuple[str, str]]:
    """Return the header fields to add to the request: its time, the session token, the body's hash, Authorization.

    `now`: seconds since 1970.
    """
    date = _timestamp(now)
    added = [("X-Amz-Date", date)]
    if scope.service == "s3":
        added.append(("X-Amz-Content-Sha256", request.content_hash))
    if keys.session_token:
        added.append(("X-Amz-Security-Token", keys.session_token))
    canonical, names = _canonical_fields([*request.fields, *added])
    signature = _signature(keys, scope, date, _canonical_request(request, scope, canonical, names))
    credential = f"{keys.access_key}/{scope.of(date[:8])}"
    value = f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return [*added, ("Authorization", value)]


def presigned_target(keys: AwsKeys, scope: Scope, request: Request, valid: int, now: float) -> str:
    """Return the target of a presigned request: whoever has it may send the request, for `valid` seconds.

    `now`: seconds since 1970. For S3 the request's `content_hash` is UNSIGNED_BODY as a rule.
    """
    date = _timestamp(now)
    canonical, names = _canonical_fields(request.fields)
    added = {
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{keys.access_key}/{scope.of(date[:8])}",
        "X-Amz-Date": date,
        "X-Amz-Expires": str(min(valid, LONGEST_PRESIGNED)),
        "X-Amz-SignedHeaders": names,
    }
    if keys.session_token:
        added["X-Amz-Security-Token"] = keys.session_token
    query = "&".join(f"{name}={encoded(value)}" for name, value in added.items())
    target = request.target + ("&" if "?" in request.target else "?") + query
    unsigned = replace(request, target=target)
    signature = _signature(keys, scope, date, _canonical_request(unsigned, scope, canonical, names))
    return f"{target}&X-Amz-Signature={signature}"


def _canonical_request(request: Request, scope: Scope, canonical_fields: str, names: str) -> str:
    path, _, query = request.target.partition("?")
    parts = (
        request.method,
        canonical_path(path, scope),
        canonical_query(query),
        canonical_fields,
        names,
        request.content_hash,
    )
    return "\n".join(parts)


def _timestamp(now: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))


def canonical_path(path: str, scope: Scope) -> str:
    """Return the path as it is signed. `path`: as it is sent."""
    if scope.service == "s3":
        return path or "/"
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    slash = "/" if kept and path.endswith("/") else ""
    return encoded("/" + "/".join(kept), "/") + slash


def canonical_query(query: str) -> str:
    """Return the query as it is signed. `query`: as it is sent."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    return "&".join(
        f"{name}={value}" for name, value in sorted((encoded(unquote(n)), encoded(unquote(v))) for n, _, v in pairs)
    )


def _canonical_fields(fields: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Return the canonical header and the names of its fields. Blanks around and inside a value become one."""
    found: dict[str, list[str]] = {}
    for name, value in fields:
        found.setdefault(name.lower(), []).append(" ".join(value.split()))
    names = sorted(found)
    return "".join(f"{name}:{','.join(found[name])}\n" for name in names), ";".join(names)


def signing_key(keys: AwsKeys, scope: Scope, day: str) -> bytes:
    """Return the key of a day (`YYYYMMDD`), with which every signature of the scope is made."""
    key = f"AWS4{keys.secret_key}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _signature(keys: AwsKeys, scope: Scope, date: str, canonical_request: str) -> str:
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    text = f"{_ALGORITHM}\n{date}\n{scope.of(date[:8])}\n{digest}"
    return hmac.digest(signing_key(keys, scope, date[:8]), text.encode(), "sha256").hex()

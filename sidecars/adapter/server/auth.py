"""Authentication of probers: a bearer token, or a user and a password with a bcrypt hash, as `htpasswd -B` writes it.

If both are set, either is accepted. A secret that came by file is read again for each request, so that a new secret
counts at once. No attempt takes longer than another, whatever is wrong with it: values are compared in constant time,
and an unknown user costs a hash like a known one.

A hash takes some 70 ms, so it is computed in a thread, one at a time. A pair that was right is remembered, by a keyed
digest that includes its hash: after a change of the file the pair is checked again.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import re
from base64 import b64decode
from collections import OrderedDict

from sidecars.adapter.verdict.probe_response import ProbeResponse, text_response
from sidecars.chassis.config.setting_types import Secret
from sidecars.chassis.http.authorization import is_same
from sidecars.chassis.runtime import logs

log = logs.get("auth")

_HASH = re.compile(r"\$2[aby]\$(?:0[4-9]|1[0-7])\$[./A-Za-z0-9]{53}")  # the costs of htpasswd; cost 31 takes days
_REMEMBERED = 256  # pairs that were right
_MAX_WAITING = 32  # attempts that wait for their hash; the next one gets 503
_MAX_PASSWORD = 72  # bytes: bcrypt ignores the rest


class BadCredentialsFile(ValueError):
    """The text is no list of users and hashes. The message names the line."""


def parse_users(text: str) -> dict[str, bytes]:
    """Return the bcrypt hashes by user. Raises BadCredentialsFile."""
    users: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, hashed = line.strip().partition(":")
        if not colon or not name or not _HASH.fullmatch(hashed):
            raise BadCredentialsFile(f"line {number}: expected user:bcrypt hash, as htpasswd -B writes it")
        users[name] = hashed.encode()
    if not users:
        raise BadCredentialsFile("expected user:bcrypt hash, as htpasswd -B writes it")
    return users


class Authenticator:
    """Accepts or refuses requests by their `Authorization` header.

    required  True if a token or users are set; without them every request is accepted
    """

    def __init__(self, token: Secret | None, users: Secret | None) -> None:
        """Raises BadCredentialsFile."""
        self.required = bool(token or users)
        self._token = token
        self._users = users
        self._key = os.urandom(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0
        self._problems: dict[str, str] = {}
        schemes = [scheme for scheme, given in (('Basic realm="adapter"', users), ("Bearer", token)) if given]
        wanted = {"WWW-Authenticate": ", ".join(schemes)}
        self._refusal = text_response(401, "not authorized", headers=wanted)
        self._busy = text_response(503, "too many attempts at once", headers={"Retry-After": "1"})
        if users:
            parse_users(users.reveal())

    async def refusal(self, authorization: str) -> ProbeResponse | None:
        """Return the response that refuses a request with this `Authorization`; None if the request is accepted."""
        scheme, _, value = authorization.partition(" ")
        scheme, value = scheme.lower(), value.strip()
        try:
            if self._token and scheme == "bearer":
                token = self._token.reveal()
                self._note_problem(scheme, "")
                return None if is_same(value, token) else self._refusal
            if self._users and scheme == "basic" and (pair := _user_and_password(value)):
                users = parse_users(self._users.reveal())
                self._note_problem(scheme, "")
                return await self._refusal_of_pair(*pair, users)
        except (OSError, UnicodeDecodeError, BadCredentialsFile) as error:
            self._note_problem(scheme, str(error))
        return self._refusal

    def _note_problem(self, scheme: str, problem: str) -> None:
        """Log a problem of a secret once, and its end; not for each attempt. `problem` is "" for a usable secret."""
        if problem == self._problems.get(scheme, ""):
            return
        self._problems[scheme] = problem
        if problem:
            log.error(
                "no prober is accepted: the credentials of probers cannot be used",
                code="credentials-unusable",
                reason=problem,
            )
        else:
            log.info("the credentials of probers can be used again", scheme=scheme)

    async def _refusal_of_pair(self, name: str, password: str, users: dict[str, bytes]) -> ProbeResponse | None:
        # Check an unknown user against another user's hash, so that both cases take equal time.
        hashed = users.get(name) or next(iter(users.values()))
        digest = hmac.digest(self._key, b"\0".join((f"{name}:{password}".encode(), hashed)), "sha256")
        if digest in self._right:
            self._right.move_to_end(digest)
            return None
        if self._waiting >= _MAX_WAITING:
            return self._busy
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                matches = await asyncio.to_thread(_matches, password.encode(), hashed)
        finally:
            self._waiting -= 1
        if not matches or name not in users:
            return self._refusal
        self._right[digest] = None
        while len(self._right) > _REMEMBERED:
            self._right.popitem(last=False)
        return None


def _user_and_password(value: str) -> tuple[str, str] | None:
    """Return the user and the password of `Basic` (RFC 7617); None if the value is malformed."""
    try:
        name, colon, password = b64decode(value, validate=True).decode().partition(":")
    except ValueError:  # no base64, or no UTF-8 in it
        return None
    return (name, password) if colon else None


def _matches(password: bytes, hashed: bytes) -> bool:
    from bcrypt import checkpw  # noqa: PLC0415 - only an adapter with passwords pays for its import

    possible = len(password) <= _MAX_PASSWORD and b"\0" not in password
    try:
        return checkpw(password if possible else b"", hashed) and possible
    except ValueError:  # the hash only looks like one
        return False

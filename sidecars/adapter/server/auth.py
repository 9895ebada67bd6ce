"""Who may ask: a bearer token, or a name and a password whose bcrypt hash is in a file as `htpasswd -B` writes it.

Where both are set, either will do. Secrets that came by file are read at each request, so that a new one counts at
once. Nothing here takes longer for one guess than for another: values are compared in constant time, and an unknown
name costs a hash like a known one. A hash takes some 70 ms, so it is worked out beside the event loop, one at a time,
and a pair that was right is remembered (by a keyed digest and together with its hash, so that a changed file counts).
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
from sidecars.chassis.runtime import logs

log = logs.get("auth")

_UNAUTHORIZED, _UNAVAILABLE = 401, 503
_HASH = re.compile(r"\$2[aby]\$(?:0[4-9]|1[0-7])\$[./A-Za-z0-9]{53}")  # costs that htpasswd takes; 31 are days
_REMEMBERED = 256  # pairs that were right
_MOST_WAITING = 32  # guesses that wait for their hash; who comes later is told to come again
_LONGEST_PASSWORD = 72  # bytes: bcrypt looks at no more


class BadCredentialsFile(ValueError):
    """The file of names and hashes is not one. Says in which line."""


def parse_users(text: str) -> dict[str, bytes]:
    """Names and bcrypt hashes. Raises BadCredentialsFile."""
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
    """Lets requests in or not."""

    def __init__(self, token: Secret | None, users: Secret | None) -> None:
        """Raises BadCredentialsFile."""
        self._token = token
        self._users = users
        self.demands = bool(token or users)
        """Whether anything is asked of a prober at all."""
        self._key = os.urandom(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0
        self._problem = ""
        schemes = [scheme for scheme, given in (('Basic realm="adapter"', users), ("Bearer", token)) if given]
        wanted = {"WWW-Authenticate": ", ".join(schemes)}
        self._refusal = text_response(_UNAUTHORIZED, "not authorized", headers=wanted)
        self._busy = text_response(_UNAVAILABLE, "too many attempts at once", headers={"Retry-After": "1"})
        if users:
            parse_users(users.reveal())

    async def refusal(self, authorization: str) -> ProbeResponse | None:
        """The answer to a request with this `Authorization`; None where it may pass."""
        scheme, _, value = authorization.partition(" ")
        value = value.strip()
        try:
            if self._token and scheme.lower() == "bearer":
                return None if _same(value, self._token.reveal()) else self._refusal
            if self._users and scheme.lower() == "basic":
                return await self._refusal_of_pair(value)
        except (OSError, UnicodeDecodeError, BadCredentialsFile) as error:
            self._tell(str(error))
        return self._refusal

    def _tell(self, problem: str) -> None:
        """Once, and not for each guess."""
        if problem != self._problem:
            self._problem = problem
            log.error("nobody is let in: what says who may ask cannot be used", reason=problem)

    async def _refusal_of_pair(self, value: str) -> ProbeResponse | None:
        assert self._users is not None  # noqa: S101 - asked by the only caller
        try:
            name, colon, password = b64decode(value, validate=True).decode().partition(":")
        except ValueError:  # no base64, or no UTF-8 in it
            return self._refusal
        if not colon:
            return self._refusal
        users = parse_users(self._users.reveal())
        hashed = users.get(name) or next(iter(users.values()))  # who is unknown is wrong for somebody else's
        digest = hmac.digest(self._key, b"\0".join((value.encode(), hashed)), "sha256")
        if digest in self._right:
            self._right.move_to_end(digest)
            return None
        if self._waiting >= _MOST_WAITING:
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


def _matches(password: bytes, hashed: bytes) -> bool:
    from bcrypt import checkpw  # noqa: PLC0415 - only who asks for passwords pays for it

    possible = len(password) <= _LONGEST_PASSWORD and b"\0" not in password
    try:
        return checkpw(password if possible else b"", hashed) and possible
    except ValueError:  # the hash only looks like one
        return False


def _same(given: str, wanted: str) -> bool:
    """In a time that depends on neither. Digests, since the comparison would tell the length."""
    key = b"sidecars"
    pair = [hmac.digest(key, text.encode(errors="replace"), "sha256") for text in (given, wanted)]
    return hmac.compare_digest(*pair)

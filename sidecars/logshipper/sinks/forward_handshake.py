"""The handshake of the Forward protocol, v1: HELO, PING, PONG. Pure.

The receiver says HELO with a nonce. We answer PING with a digest over our salt, our name, the nonce and the shared key;
and where it asks for users (`auth` is not empty) with one over `auth`, name and password. Its PONG says yes or no, and
proves with a digest of its own that it has the key as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha512
from hmac import compare_digest
from typing import Any

import msgpack

_SHOWN = 200  # bytes of what the receiver says


class Refused(Exception):
    """The handshake failed. `reason`: the end of a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Handshake:
    hostname: str  # ours
    shared_key: str
    username: str
    password: str
    salt: bytes

    def ping(self, helo: Any) -> tuple[bytes, bytes]:
        """The answer to a HELO, and its nonce, for `check`. Raises Refused when it is none."""
        options = _tuple(helo, b"HELO", 2)[1]
        if not isinstance(options, dict):
            raise Refused("its HELO is none")
        nonce, auth = _bytes(options.get(b"nonce")), _bytes(options.get(b"auth"))
        digest = _digest(self.salt, self.hostname.encode(), nonce, self.shared_key.encode())
        user, password = "", ""
        if auth:
            user = self.username
            password = _digest(auth, self.username.encode(), self.password.encode())
        packed: bytes = msgpack.packb(["PING", self.hostname, self.salt, digest, user, password])
        return packed, nonce

    def check(self, pong: Any, nonce: bytes) -> None:
        """Raises Refused unless the PONG says yes and proves that its sender has the key."""
        _, granted, reason, hostname, digest, *_ = _tuple(pong, b"PONG", 5)
        if granted is not True:
            raise Refused(f"the receiver refuses us: {_bytes(reason)[:_SHOWN].decode('utf-8', 'replace')}")
        expected = _digest(self.salt, _bytes(hostname), nonce, self.shared_key.encode())
        if not compare_digest(expected.encode(), _bytes(digest)):
            raise Refused("the receiver does not have the shared key")


def _tuple(message: Any, name: bytes, length: int) -> list[Any]:
    if not isinstance(message, list) or len(message) < length or message[0] != name:
        raise Refused(f"the receiver does not say {name.decode()}")
    return message


def _bytes(value: Any) -> bytes:
    """Strings are read as bytes; what is no string is empty."""
    return value if isinstance(value, bytes) else b""


def _digest(*parts: bytes) -> str:
    return sha512(b"".join(parts)).hexdigest()

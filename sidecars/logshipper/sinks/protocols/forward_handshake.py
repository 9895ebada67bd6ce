"""The handshake of the Forward protocol, v1: HELO, PING, PONG. Pure.

The receiver says HELO with a nonce. The answer is a PING with a digest over our salt, our name, the nonce and the
shared key; and where the receiver asks for users (`auth` is not empty) with a digest over `auth`, name and password.
Its PONG says yes or no, and proves with a digest over our salt, its own name, the nonce and the key that it has the
key as well.

Every member of a PING is a MessagePack string: Fluent Bit refuses binary data there. A receiver may say its own members
in either form.
https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1#handshake-messages
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha512
from hmac import compare_digest
from typing import Any

import msgpack

from sidecars.logshipper.sinks.protocols.peer_text import sanitized

_REFUSAL, _CONSENT = 3, 5  # members of a PONG that are read


class Refused(Exception):
    """The handshake failed. `reason`: the end of a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Helo:
    """What the receiver says first."""

    nonce: bytes
    auth: bytes  # salt of the password's digest; empty where it asks for no user
    keepalive: bool  # the connection may be used for more than one message


@dataclass(frozen=True, slots=True)
class Handshake:
    """Our part of one handshake. `salt` is random text that was never used before."""

    hostname: str  # ours
    shared_key: str
    username: str
    password: str
    salt: str

    def helo(self, message: Any) -> Helo:
        """Return the HELO. Raises Refused when the message is none."""
        options = _members(message, b"HELO", 2)[1]
        if not isinstance(options, dict):
            raise Refused("the receiver's HELO has no options")
        nonce, auth = _bytes(options.get(b"nonce")), _bytes(options.get(b"auth"))
        return Helo(nonce, auth, options.get(b"keepalive") is not False)

    def ping(self, helo: Helo) -> bytes:
        """Return the PING that answers the HELO."""
        user, password = "", ""
        if helo.auth:
            user = self.username
            password = _digest(helo.auth, self.username.encode(), self.password.encode())
        digest = self._proof(self.hostname.encode(), helo.nonce)
        packed: bytes = msgpack.packb(["PING", self.hostname, self.salt, digest, user, password])
        return packed

    def check(self, pong: Any, helo: Helo) -> None:
        """Raise Refused unless the PONG says yes and proves that its sender has the key.

        A sender that has our name proves nothing: its digest would be that of our PING, which it has just been sent.
        """
        _, granted, reason, *proof = _members(pong, b"PONG", _REFUSAL)
        if granted is not True:
            text = _bytes(reason).decode("utf-8", "replace")
            raise Refused(f"the receiver refuses us: {sanitized(text) or 'it gives no reason'}")
        if len(proof) < _CONSENT - _REFUSAL:
            raise Refused("the receiver's PONG has no digest: it does not have the shared key")
        hostname, digest = map(_bytes, proof[:2])
        if hostname == self.hostname.encode():
            raise Refused(
                f"the receiver calls itself {sanitized(self.hostname)}, as we do, and its digest proves nothing: "
                "give it another self_hostname"
            )
        if not compare_digest(self._proof(hostname, helo.nonce).encode(), digest):
            raise Refused("the receiver does not have the shared key")

    def _proof(self, hostname: bytes, nonce: bytes) -> str:
        return _digest(self.salt.encode(), hostname, nonce, self.shared_key.encode())


def _members(message: Any, name: bytes, length: int) -> list[Any]:
    if not isinstance(message, list) or len(message) < length or message[0] != name:
        raise Refused(f"the receiver does not say {name.decode()}")
    return message


def _bytes(value: Any) -> bytes:
    """Return a string or binary data, which both are read as bytes; b"" for anything else."""
    return value if isinstance(value, bytes) else b""


def _digest(*parts: bytes) -> str:
    return sha512(b"".join(parts)).hexdigest()

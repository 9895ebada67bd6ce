"""The handshake of the Forward protocol, v1: HELO, PING, PONG. Pure.

| message | from | has | proves |
|---|---|---|---|
| HELO | receiver | a nonce; `auth`, a salt, if it asks for a user | |
| PING | us | a digest of our salt, our name, the nonce and the shared key | we have the key |
| | | if asked, the user and a digest of `auth`, user and password | we have the password |
| PONG | receiver | consent or a reason; a digest of our salt, its name, the nonce and the key | it has the key |

Every member of a PING is a MessagePack string: Fluent Bit refuses binary data there. The receiver's own members may be
strings or binary data.
https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1#handshake-messages
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha512
from hmac import compare_digest
from typing import Any

import msgpack

from sidecars.chassis.http.peer_text import sanitized

_REFUSAL, _CONSENT = 3, 5  # members of a PONG that are read, with each result


class ProtocolFailed(Exception):
    """The receiver refused the handshake, or does not speak the protocol. `reason` is a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Helo:
    """The receiver's first message."""

    nonce: bytes
    auth: bytes  # salt of the password's digest; empty if the receiver asks for no user
    keepalive: bool  # the connection may be used for more than one message


@dataclass(frozen=True, slots=True)
class Handshake:
    """Our side of one handshake. Owned by the connection's opening. `salt` is random text, new for each handshake."""

    hostname: str  # ours
    shared_key: str
    username: str
    password: str
    salt: str

    def helo(self, message: Any) -> Helo:
        """Return the HELO of the message. Raises ProtocolFailed if it is none."""
        options = _members(message, b"HELO", 2)[1]
        if not isinstance(options, dict):
            raise ProtocolFailed("the receiver's HELO has no options")
        nonce, auth = _bytes(options.get(b"nonce")), _bytes(options.get(b"auth"))
        return Helo(nonce, auth, options.get(b"keepalive") is not False)

    def ping(self, helo: Helo) -> bytes:
        """Return the PING, our response to the HELO."""
        user, password = "", ""
        if helo.auth:
            user = self.username
            password = _digest(helo.auth, self.username.encode(), self.password.encode())
        digest = self._proof(self.hostname.encode(), helo.nonce)
        packed: bytes = msgpack.packb(["PING", self.hostname, self.salt, digest, user, password])
        return packed

    def check(self, pong: Any, helo: Helo) -> None:
        """Check that the PONG consents and proves that its sender has the key. Raises ProtocolFailed if not.

        A sender with our own name proves nothing: the digest that it needs is the one of our PING.
        """
        _, granted, reason, *proof = _members(pong, b"PONG", _REFUSAL)
        if granted is not True:
            text = _bytes(reason).decode("utf-8", "replace")
            raise ProtocolFailed(f"the receiver refuses us: {sanitized(text) or 'it gives no reason'}")
        if len(proof) < _CONSENT - _REFUSAL:
            raise ProtocolFailed("the receiver's PONG has no digest: it does not have the shared key")
        hostname, digest = map(_bytes, proof[:2])
        if hostname == self.hostname.encode():
            raise ProtocolFailed(
                f"the receiver calls itself {sanitized(self.hostname)}, as we do, and its digest proves nothing: "
                "give it another self_hostname"
            )
        if not compare_digest(self._proof(hostname, helo.nonce).encode(), digest):
            raise ProtocolFailed("the receiver does not have the shared key")

    def _proof(self, hostname: bytes, nonce: bytes) -> str:
        return _digest(self.salt.encode(), hostname, nonce, self.shared_key.encode())


def _members(message: Any, name: bytes, length: int) -> list[Any]:
    if not isinstance(message, list) or len(message) < length or message[0] != name:
        raise ProtocolFailed(f"the receiver sends no {name.decode()}")
    return message


def _bytes(value: Any) -> bytes:
    """Return the bytes of a string or of binary data; b"" for anything else."""
    return value if isinstance(value, bytes) else b""


def _digest(*parts: bytes) -> str:
    return sha512(b"".join(parts)).hexdigest()

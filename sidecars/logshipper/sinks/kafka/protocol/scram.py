"""SCRAM (RFC 5802, RFC 7677): we prove that we know the password, and the broker proves that it does. Pure.

    us ─► n,,n=user,r=nonce ─► broker ─► r=nonce+theirs,s=salt,i=iterations ─► us
    us ─► c=biws,r=…,p=proof ─► broker ─► v=signature ─► us: it is right, or the broker does not know the password

The password is never sent. Channel binding is not used, as in all of Kafka's clients.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode

ALGORITHMS = {"scram-sha-256": "sha256", "scram-sha-512": "sha512"}
"""The hash of each mechanism."""

_FEWEST = 4096  # iterations, RFC 7677 section 4: fewer would make a guess of the password cheap
_MOST = 1_000_000  # iterations: a second of the processor, which a broker could ask for again and again
_NO_BINDING = b64encode(b"n,,").decode()


class ScramFailed(Exception):
    """The exchange failed. `reason` is a sentence about the broker."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ScramExchange:
    """One exchange. `nonce`: random printable characters without a comma, never used before.

    The calls in order: `first`, `final` with the broker's first message, `verify` with its last one.
    """

    def __init__(self, mechanism: str, user: str, password: str, nonce: str) -> None:
        self._algorithm = ALGORITHMS[mechanism]
        self._password = password
        self._nonce = nonce
        self._bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
        self._signature = b""

    def first(self) -> bytes:
        """Return our first message."""
        return f"n,,{self._bare}".encode()

    def final(self, theirs: bytes) -> bytes:
        """Return our last message. Raises ScramFailed if the broker's first one is not right."""
        fields = _fields(theirs)
        nonce = fields.get("r", "")
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise ScramFailed("the broker's SCRAM nonce does not continue ours")
        try:
            salt, iterations = b64decode(fields["s"], validate=True), int(fields["i"])
        except (KeyError, ValueError, binascii.Error):
            raise ScramFailed("the broker's SCRAM message has no salt or no iterations") from None
        if not _FEWEST <= iterations <= _MOST:
            raise ScramFailed(f"the broker asks for {iterations} SCRAM iterations: expected {_FEWEST} to {_MOST}")
        salted = hashlib.pbkdf2_hmac(self._algorithm, self._password.encode(), salt, iterations)
        client_key = self._hmac(salted, b"Client Key")
        without_proof = f"c={_NO_BINDING},r={nonce}"
        signed = b",".join((self._bare.encode(), theirs, without_proof.encode()))
        signature = self._hmac(hashlib.new(self._algorithm, client_key).digest(), signed)
        proof = bytes(ours ^ other for ours, other in zip(client_key, signature, strict=True))
        self._signature = self._hmac(self._hmac(salted, b"Server Key"), signed)
        return f"{without_proof},p={b64encode(proof).decode()}".encode()

    def verify(self, theirs: bytes) -> None:
        """Check the broker's last message. Raises ScramFailed if it does not prove that the broker knows us."""
        fields = _fields(theirs)
        if "e" in fields:
            raise ScramFailed("the broker does not accept the user or the password")
        try:
            signature = b64decode(fields["v"], validate=True)
        except (KeyError, binascii.Error):
            raise ScramFailed("the broker's last SCRAM message has no signature") from None
        if not self._signature or not hmac.compare_digest(signature, self._signature):
            raise ScramFailed("the broker does not know the password: its SCRAM signature is wrong")

    def _hmac(self, key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, self._algorithm)


def _fields(message: bytes) -> dict[str, str]:
    """Return the attributes of a message by their letters."""
    pairs = (part.partition("=") for part in message.decode("utf-8", "replace").split(","))
    return {name: value for name, _, value in pairs}

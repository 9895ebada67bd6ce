"""The SASL of a Kafka broker: PLAIN, SCRAM and OAUTHBEARER, from RFC 4616, RFC 5802 and RFC 7628."""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from base64 import b64decode, b64encode
from typing import Any

from sidecars.logshipper.sinks.kafka.protocol.wire import Reader


class Sasl:
    """Who may connect. `users`: passwords. `token`: what OAUTHBEARER must bring. `session_life`: milliseconds."""

    def __init__(self, mechanisms: tuple[str, ...]) -> None:
        self.mechanisms = mechanisms
        self.users: dict[str, str] = {}
        self.token = ""
        self.session_life = 0
        self.logins: list[str] = []

    def handshake(self, reader: Reader, error: int, session: Any) -> bytes:
        mechanism = reader.string()
        session["mechanism"] = mechanism
        known = b"".join(map(_string, self.mechanisms))
        code = error or (0 if mechanism in self.mechanisms else 33)
        return struct.pack(">hi", code, len(self.mechanisms)) + known

    def authenticate(self, reader: Reader, version: int, error: int, session: Any) -> bytes:
        message = reader.byte_string()
        code, answer = (error, b"") if error else self._message(message, session)
        if session["user"]:
            self.logins.append(session["user"])
        text = _string("Authentication failed" if code else None)
        life = struct.pack(">q", self.session_life) if version >= 1 else b""
        return struct.pack(">h", code) + text + struct.pack(">i", len(answer)) + answer + life

    def _message(self, message: bytes, session: Any) -> tuple[int, bytes]:
        mechanism = session["mechanism"]
        if mechanism == "PLAIN":
            _, user, password = message.decode().split("\0")
            session["user"] = user if self.users.get(user) == password else ""
            return (0 if session["user"] else 58), b""
        if mechanism == "OAUTHBEARER":
            if message == b"\1":
                return 58, b""
            if message != f"n,,\1auth=Bearer {self.token}\1\1".encode():
                return 0, b'{"status":"invalid_token"}'
            session["user"] = "token"
            return 0, b""
        return self._scram(mechanism, message, session)

    def _scram(self, mechanism: str, message: bytes, session: Any) -> tuple[int, bytes]:
        algorithm = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}[mechanism]
        fields = dict(part.split("=", 1) for part in message.decode().split(",") if "=" in part)
        if "p" not in fields:
            nonce = fields["r"] + os.urandom(9).hex()
            first = f"r={nonce},s={b64encode(b'salt of the user').decode()},i=4096".encode()
            session["scram"] = (fields["n"], nonce, message.removeprefix(b"n,,") + b"," + first)
            return 0, first
        user, nonce, before = session["scram"]
        salted = hashlib.pbkdf2_hmac(algorithm, self.users.get(user, "").encode(), b"salt of the user", 4096)
        without = message.rpartition(b",p=")[0]
        signed = before + b"," + without
        stored = hashlib.new(algorithm, hmac.digest(salted, b"Client Key", algorithm)).digest()
        signature = hmac.digest(stored, signed, algorithm)
        client = bytes(a ^ b for a, b in zip(b64decode(fields["p"]), signature, strict=True))
        if fields["r"] != nonce or hashlib.new(algorithm, client).digest() != stored:
            return 58, b""
        session["user"] = user
        server = hmac.digest(salted, b"Server Key", algorithm)
        return 0, b"v=" + b64encode(hmac.digest(server, signed, algorithm))


def _string(text: str | None) -> bytes:
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text.encode())) + text.encode()

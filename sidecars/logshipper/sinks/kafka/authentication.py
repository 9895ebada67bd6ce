"""SASL on a new connection: proves to a broker who we are.

    SaslHandshake (mechanism) ─► SaslAuthenticate (one message or two) ─► the session, which may have an end (KIP-368)

| `SINK_SASL` | mechanism | what is sent |
|---|---|---|
| `plain` | PLAIN (RFC 4616) | user and password, in clear unless there is TLS |
| `scram-sha-256`, `scram-sha-512` | SCRAM (RFC 5802) | a proof of the password |
| `oauthbearer` | OAUTHBEARER (RFC 7628) | a token |
| `aws-msk-iam` | OAUTHBEARER | a token that is a presigned request (see `tokens`) |

A session that ends is not renewed on its connection: a new connection replaces it before, and has a session of its
own. The brokers see the same, and no request has to wait between two messages of SASL.
"""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from typing import TYPE_CHECKING

from sidecars.chassis.http.peer_text import sanitized
from sidecars.chassis.runtime import scrubber
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.settings import Settings
from sidecars.logshipper.sinks.base import RetryLater
from sidecars.logshipper.sinks.kafka.connection import BrokerConnection
from sidecars.logshipper.sinks.kafka.protocol import requests, responses
from sidecars.logshipper.sinks.kafka.protocol.error_codes import NONE, describe
from sidecars.logshipper.sinks.kafka.protocol.scram import ScramExchange, ScramFailed
from sidecars.logshipper.sinks.protocols.credentials import read_secret

if TYPE_CHECKING:
    from sidecars.logshipper.sinks.kafka.tokens import TokenSource

_NONCE = 24  # random bytes
_EARLY = 0.85  # of a session's life, after which a new connection is made
_MECHANISMS = {
    "plain": "PLAIN",
    "scram-sha-256": "SCRAM-SHA-256",
    "scram-sha-512": "SCRAM-SHA-512",
    "oauthbearer": "OAUTHBEARER",
    "aws-msk-iam": "OAUTHBEARER",
}


def create(settings: Settings, sink: SinkSettings) -> Authenticator:
    """Return the authenticator of a sink with SINK_SASL. Raises IOFailed if TLS files are unusable."""
    if sink.sink_sasl is None:
        raise AssertionError("the settings were checked")
    if _MECHANISMS[sink.sink_sasl] != "OAUTHBEARER":
        return Authenticator(sink, None)
    from sidecars.logshipper.sinks.kafka import tokens  # noqa: PLC0415 - loaded only if it is used

    return Authenticator(sink, tokens.create(settings, sink))


class Authenticator:
    """The identity of one sink, which owns it. `source` gives tokens for OAUTHBEARER."""

    def __init__(self, settings: SinkSettings, source: TokenSource | None) -> None:
        self._settings = settings
        self._source = source
        self._kind = settings.sink_sasl or ""

    async def authenticate(self, connection: BrokerConnection) -> None:
        """Authenticate a new connection. Raises RetryLater if it fails, ConnectionFailed if the connection breaks."""
        mechanism = _MECHANISMS[self._kind]
        where = f"{connection.host}:{connection.port}"
        code, known = await connection.request(
            requests.SASL_HANDSHAKE, requests.sasl_handshake(mechanism), responses.sasl_handshake
        )
        if code != NONE:
            names = sanitized(", ".join(known)) or "none"
            raise RetryLater(f"{where} does not accept {mechanism}: {describe(code)}; it has {names}")
        exchange = _Exchange(connection, where)
        if self._source is not None:
            await self._bearer(exchange, await self._source.token(connection.host))
        elif self._kind == "plain":
            user, password = self._user()
            await exchange.send(f"\0{user}\0{password}".encode())
        else:
            await self._scram(exchange)
        connection.end_session_at(exchange.session_end(_EARLY))

    async def close(self) -> None:
        if self._source is not None:
            await self._source.close()

    def _user(self) -> tuple[str, str]:
        settings = self._settings
        if settings.sink_password is None:
            raise AssertionError("the settings were checked")
        return settings.sink_username or "", read_secret(settings.sink_password, settings, "sink_password")

    async def _scram(self, exchange: _Exchange) -> None:
        scram = ScramExchange(self._kind, *self._user(), b64encode(os.urandom(_NONCE)).decode())
        try:
            first = await exchange.send(scram.first())
            loop = asyncio.get_running_loop()
            final = await loop.run_in_executor(None, scram.final, first)  # thousands of hashes
            scram.verify(await exchange.send(final))
        except ScramFailed as error:
            raise RetryLater(f"{exchange.where}: {error.reason}") from None

    @staticmethod
    async def _bearer(exchange: _Exchange, token: str) -> None:
        scrubber.hide(exchange, [token])
        refusal = await exchange.send(f"n,,\1auth=Bearer {token}\1\1".encode())
        if refusal:  # RFC 7628 section 3.2.3: the client answers with one byte, and then gets the error
            await exchange.send(b"\1")
            raise RetryLater(f"{exchange.where} does not accept the token")


class _Exchange:
    """The messages of SASL on one connection."""

    def __init__(self, connection: BrokerConnection, where: str) -> None:
        self.where = where
        self._connection = connection
        self._life = 0  # milliseconds; 0: no end

    async def send(self, message: bytes) -> bytes:
        """Send a message, and return the broker's. Raises RetryLater if it refuses."""
        connection = self._connection
        version = connection.version(requests.SASL_AUTHENTICATE)
        code, text, response, self._life = await connection.request(
            requests.SASL_AUTHENTICATE,
            requests.sasl_authenticate(message),
            lambda reader: responses.sasl_authenticate(reader, version),
        )
        if code != NONE:
            raise RetryLater(f"{self.where}: {describe(code)}: {sanitized(text)}".removesuffix(": "))
        return response

    def session_end(self, share: float) -> float | None:
        """Return the time of the loop at which this share of the session's life is over; None if it has no end."""
        if self._life <= 0:
            return None
        return asyncio.get_running_loop().time() + share * self._life / 1000

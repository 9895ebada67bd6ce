"""Services that give access tokens, and a receiver that accepts the newest one; all strict about the requests."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

import google.auth.jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.logshipper.posting import request_of, served

_KEY = ec.generate_private_key(ec.SECP256R1())
PRIVATE_KEY = _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PUBLIC_KEY = _KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
"""Of the client that proves who it is at `/signed`."""


class Exchange:
    """One request: method, path, query, header fields by their names in lower case, and body."""

    def __init__(self, head: bytes, body: bytes) -> None:
        line, *fields = head.decode("ascii").split("\r\n")[:-2]
        self.method, target, _ = line.split(" ")
        parts = urlsplit(target)
        self.target, self.path, self.query = target, parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()}
        self.fields = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
        self.body = body


class Cloud:
    """Token services of Google, Azure and an OAuth server, and the receiver, on one port."""

    def __init__(self) -> None:
        self.given = 0
        self.accepted = ""  # the token that the receiver accepts; "": the newest
        self.life: Any = 3600
        self.answer: tuple[int, dict[str, str], bytes] | None = None  # of the token services, instead of a token
        self.held: asyncio.Event | None = None  # the token services wait for it
        self.asked: list[Exchange] = []
        self.delivered: list[Exchange] = []
        self.address = ""

    @property
    def newest(self) -> str:
        return f"token-number-{self.given}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await _whole_request(reader)
            status, fields, answer = await self._respond(Exchange(head, body))
            lines = [
                f"HTTP/1.1 {status} X",
                *(f"{k}: {v}" for k, v in fields.items()),
                f"Content-Length: {len(answer)}",
            ]
            writer.write("\r\n".join([*lines, "", ""]).encode() + answer)
            await writer.drain()

    async def _respond(self, request: Exchange) -> tuple[int, dict[str, str], bytes]:
        if request.path.startswith("/in"):
            wanted = f"Bearer {self.accepted or self.newest}"
            if request.fields.get("authorization") != wanted:
                return 401, {}, b""
            self.delivered.append(request)
            return 204, {}, b""
        self.asked.append(request)
        if self.held is not None:
            await self.held.wait()
        if self.answer is not None:
            return self.answer
        refusal = getattr(self, f"_check{request.path.split('/')[1].lower()}")(request)
        if refusal:
            return (
                400,
                {},
                json.dumps({"error": "invalid_request", "error_description": f"{refusal}\r\nTrace"}).encode(),
            )
        self.given += 1
        token = {"access_token": self.newest, "token_type": "Bearer", "expires_in": self.life}
        return 200, {"Metadata-Flavor": "Google"}, json.dumps(token).encode()

    def _checkcomputemetadata(self, request: Exchange) -> str:
        right = request.path == "/computeMetadata/v1/instance/service-accounts/default/token"
        return "" if right and request.fields.get("metadata-flavor") == "Google" and request.method == "GET" else "gcp"

    def _checkmetadata(self, request: Exchange) -> str:
        assert request.query["api-version"] == "2018-02-01"
        assert request.query["resource"] == "https://monitor.azure.com"
        return "" if request.fields.get("metadata") == "true" and "x-forwarded-for" not in request.fields else "azure"

    def _checktenant(self, request: Exchange) -> str:
        form = parse_qs(request.body.decode(), strict_parsing=True)
        assert request.path == "/tenant/oauth2/v2.0/token"
        assert form["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
        assert form["grant_type"] == ["client_credentials"]
        assert (form["client_id"], form["scope"]) == (["client"], ["https://monitor.azure.com/.default"])
        return "" if form["client_assertion"] == ["the.pods.token"] else "AADSTS700024: the assertion has ended"

    def _checkmsi(self, request: Exchange) -> str:
        assert request.query == {"api-version": "2019-08-01", "resource": "https://monitor.azure.com"}
        return "" if request.fields.get("x-identity-header") == "the-header-of-app-service" else "no header"

    def _checksigned(self, request: Exchange) -> str:
        form = {name: each[0] for name, each in parse_qs(request.body.decode(), strict_parsing=True).items()}
        jwt: Any = google.auth.jwt  # it has no types
        try:
            claims = jwt.decode(form["client_assertion"], certs=PUBLIC_KEY, audience=f"http://{self.address}/signed")
        except ValueError as error:
            return str(error)
        right = claims["sub"] == claims["iss"] == form["client_id"] == "the client"
        return "" if right and "authorization" not in request.fields else "a wrong client"

    def _checkoauth(self, request: Exchange) -> str:
        assert request.fields["content-type"] == "application/x-www-form-urlencoded"
        form = parse_qs(request.body.decode(), strict_parsing=True)
        assert form["grant_type"] == ["client_credentials"]
        client, _, secret = b64decode(request.fields["authorization"].removeprefix("Basic ")).decode().partition(":")
        right = (unquote_plus(client), unquote_plus(secret)) == ("the client", "s3cret:+ pass%")
        return "" if right and form.get("scope") == ["logs.write"] else "a wrong client"


async def _whole_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    if b"content-length" not in head.lower():
        return head, b""
    again = asyncio.StreamReader()
    again.feed_data(head)
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    again.feed_data(await reader.readexactly(length))
    return await request_of(again)


@asynccontextmanager
async def cloud() -> AsyncIterator[Cloud]:
    made = Cloud()
    async with served(made.serve) as address:
        made.address = address
        yield made

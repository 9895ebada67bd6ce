"""Services that give tokens, on one port of loopback: an OAuth 2.0 server of oauthlib, and metadata servers.

oauthlib checks the request of client credentials; its answers are its own. The metadata servers are strict about what
their documentation asks for.
"""

from __future__ import annotations

import json
import ssl
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from oauthlib.oauth2 import BackendApplicationServer, RequestValidator

CLIENT, CLIENT_SECRET = "shop app", "s3cret:+ pass%/word"


class _Clients(RequestValidator):  # type: ignore[misc] # it has no types
    """One client, and the tokens that were given. `ways`: how the client has shown its secret."""

    def __init__(self) -> None:
        self.ways: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.tokens: list[str] = []
        self.public_key = b""  # PEM of the client, if it proves who it is with a signature
        self.audience = ""

    def authenticate_client(self, request: Any, *_: Any, **__: Any) -> bool:
        from base64 import b64decode  # noqa: PLC0415 - of this method alone
        from urllib.parse import unquote_plus  # noqa: PLC0415 - of this method alone

        header = request.headers.get("Authorization", "")
        if self.public_key:
            return self._proves_with_a_key(request)
        if header.startswith("Basic "):
            given = b64decode(header.removeprefix("Basic ")).decode().partition(":")
            client, secret = unquote_plus(given[0]), unquote_plus(given[2])
        else:
            client, secret = request.client_id, request.client_secret
        self.ways.append("basic" if header else "post")
        self.forms.append(dict(request.decoded_body or []))
        request.client = type("Client", (), {"client_id": client})
        return (client, secret) == (CLIENT, CLIENT_SECRET)

    def _proves_with_a_key(self, request: Any) -> bool:
        """Check an assertion of RFC 7523 with google-auth's verifier."""
        from google.auth import jwt  # noqa: PLC0415 - of this method alone

        form = dict(request.decoded_body)
        self.ways.append("key")
        self.forms.append(form)
        request.client = type("Client", (), {"client_id": CLIENT})
        try:
            claims = jwt.decode(form["client_assertion"], certs=self.public_key, audience=self.audience)  # type: ignore[no-untyped-call] # it has no types
        except ValueError:
            return False
        return bool(claims["iss"] == claims["sub"] == form["client_id"] == CLIENT)

    def validate_grant_type(self, _client_id: str, grant_type: str, *_: Any, **__: Any) -> bool:
        return grant_type == "client_credentials"

    def get_default_scopes(self, *_: Any, **__: Any) -> list[str]:
        return ["orders.read"]

    def validate_scopes(self, _client_id: str, scopes: list[str], *_: Any, **__: Any) -> bool:
        return set(scopes) <= {"orders.read", "orders.write"}

    def save_bearer_token(self, token: dict[str, Any], *_: Any, **__: Any) -> None:
        self.tokens.append(token["access_token"])


class TokenServices:
    """What the services have seen, and what they answer instead if a test wants it."""

    def __init__(self) -> None:
        self.clients = _Clients()
        self.oauth = BackendApplicationServer(self.clients, token_expires_in=3600)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []  # method, target, fields, body
        self.answer: tuple[int, dict[str, str], bytes] | None = None
        self.given = 0
        self.held = threading.Event()  # answers wait for it
        self.held.set()
        self.port = 0

    def respond(  # noqa: PLR0911 - one for each service and fault
        self, method: str, target: str, fields: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        self.asked.append((method, target, fields, body))
        self.held.wait(30)
        if self.answer is not None:
            return self.answer
        if target.startswith("/oauth"):
            given = {"Authorization": fields.get("authorization", ""), "Content-Type": fields.get("content-type", "")}
            made, text, status = self.oauth.create_token_response(
                f"https://127.0.0.1{target}", method, body.decode(), given
            )
            return status, dict(made), text.encode()
        self.given += 1
        if target.startswith("/computeMetadata/v1/instance/service-accounts/default/"):
            if fields.get("metadata-flavor") != "Google":
                return 403, {}, b"no flavor"
            kind = "text/html" if "/identity?" in target else "application/json"
            return 200, {"Metadata-Flavor": "Google", "Content-Type": kind}, self._of_google(target)
        if target.startswith("/metadata/identity/oauth2/token"):
            if fields.get("metadata") != "true":
                return 400, {}, b"no Metadata"
            token = {"access_token": f"azure-token-{self.given}", "expires_in": "3599", "token_type": "Bearer"}
            return 200, {}, json.dumps({**token, "asked": urlsplit(target).query}).encode()
        return 404, {}, b""

    def _of_google(self, target: str) -> bytes:
        parts = urlsplit(target)
        if parts.path.endswith("/identity"):
            (audience,) = parse_qs(parts.query)["audience"]
            claims = {"aud": audience, "iat": 1000, "exp": 4600, "jti": self.given}
            return ".".join(_segment(part) for part in ({"alg": "RS256"}, claims, {"s": 1})).encode()
        if "recursive=true" in parts.query:  # google-auth asks first who it is
            return b'{"email": "a@b.test", "scopes": []}'
        return json.dumps({"access_token": f"google-token-{self.given}", "expires_in": 3600}).encode()


def _segment(part: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


class Services(Protocol):
    """What a server of the tests answers."""

    port: int
    held: threading.Event

    def respond(
        self, method: str, target: str, fields: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]: ...


@contextmanager
def token_services() -> Iterator[TokenServices]:
    services = TokenServices()
    with serving(services):
        yield services


@contextmanager
def serving(services: Services, tls: ssl.SSLContext | None = None) -> Iterator[None]:
    """Serve them on a port of loopback, whose number they get."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fields = {name.lower(): value for name, value in self.headers.items()}
            status, more, text = services.respond(self.command, self.path, fields, body)
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the names that the standard library calls

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    services.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        services.held.set()
        server.shutdown()
        server.server_close()

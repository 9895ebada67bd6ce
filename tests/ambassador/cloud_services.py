"""The services of the clouds that give short-lived credentials, strict about what their documentation asks for.

Each credential has a number, and an end. `accepts` is for an upstream: it knows all that were given, and their ends.
"""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from tests.ambassador.aws_verifier import Keys

ROLE = "orders-role"
SESSION = "imds-session-token"

ROLES = "/latest/meta-data/iam/security-credentials/"

Answer = tuple[int, dict[str, str], bytes]
Fields = dict[str, str]


class Clouds:
    """All services on one port. `life`: seconds of a credential."""

    def __init__(self, life: float) -> None:
        self.life = life
        self.port = 0
        self.held = threading.Event()
        self.proof = ""  # the token of the Pod, or the identity header, that is accepted now
        self.seen: list[str] = []  # the proofs that have come
        self.asked: list[tuple[str, str]] = []  # method and path
        self.tokens: dict[str, float] = {}  # their ends, in seconds since 1970
        self.keys: dict[str, Keys] = {}

    @property
    def given(self) -> int:
        return len(self.tokens) + len(self.keys)

    @property
    def secrets(self) -> list[str]:
        """All that no other origin may see."""
        of_keys = [text for keys in self.keys.values() for text in (keys.secret, keys.session) if text]
        return [*self.tokens, *of_keys, *self.keys, *self.seen]

    def accepts(self, token: str) -> bool:
        return self.tokens.get(token, 0.0) > time.time()

    def respond(self, method: str, target: str, fields: dict[str, str], body: bytes) -> Answer:
        parts = urlsplit(target)
        self.asked.append((method, parts.path))
        given = {name: each[0] for raw in (parts.query, body.decode()) for name, each in parse_qs(raw).items()}
        handlers = {
            ("GET", "/msi/token"): self._app_service,
            ("GET", "/metadata/identity/oauth2/token"): self._azure_node,
            ("POST", "/tenant/oauth2/v2.0/token"): self._entra_id,
            ("GET", "/v1/credentials"): self._pod_identity,
            ("PUT", "/latest/api/token"): self._session,
            ("GET", ROLES): self._role,
            ("GET", ROLES + ROLE): self._role,
            ("POST", "/"): self._sts,
        }
        handler = handlers.get((method, parts.path))
        return (404, {}, b"{}") if handler is None else handler(given, fields)

    def _azure_node(self, given: Fields, fields: Fields) -> Answer:
        if fields.get("metadata") != "true" or given.get("api-version") != "2018-02-01":
            return 400, {}, b"{}"
        return self._token({"expires_in": str(int(self.life)), "token_type": "Bearer"})

    def _entra_id(self, given: Fields, _fields: Fields) -> Answer:
        if not self._is_proof(given.get("client_assertion", "")):
            return 401, {}, b'{"error": "invalid_client"}'
        return self._token({"expires_in": self.life, "token_type": "Bearer"})

    def _pod_identity(self, _given: Fields, fields: Fields) -> Answer:
        is_known = self._is_proof(fields.get("authorization", ""))
        return self._keys_in_json() if is_known else (401, {}, b'{"code": "AccessDenied"}')

    def _session(self, _given: Fields, fields: Fields) -> Answer:
        is_valid = "x-aws-ec2-metadata-token-ttl-seconds" in fields and "x-forwarded-for" not in fields
        return (200, {}, SESSION.encode()) if is_valid else (400, {}, b"")

    def _role(self, _given: Fields, fields: Fields) -> Answer:
        if fields.get("x-aws-ec2-metadata-token") != SESSION:
            return 401, {}, b""
        return (200, {}, ROLE.encode()) if self.asked[-1][1] == ROLES else self._keys_in_json()

    def _is_proof(self, given: str) -> bool:
        self.seen.append(given)
        return given == self.proof

    def _app_service(self, given: Fields, fields: Fields) -> Answer:
        if not self._is_proof(fields.get("x-identity-header", "")) or given.get("api-version") != "2019-08-01":
            return 400, {}, b'{"statusCode": 400, "message": "no identity header"}'
        return self._token({"resource": given["resource"], "token_type": "Bearer"}, says_end=True)

    def _token(self, more: dict[str, object], *, says_end: bool = False) -> Answer:
        token, ends = f"cloud-token-{self.given + 1}", time.time() + self.life
        self.tokens[token] = ends
        end = {"expires_on": str(int(ends))} if says_end else {}
        return 200, {}, json.dumps({"access_token": token, **end, **more}).encode()

    def _new_keys(self) -> tuple[str, Keys]:
        number = self.given + 1
        made = (
            f"ASIAEXAMPLE{number}",
            Keys(f"secret-key-number-{number}", f"session-number-{number}", time.time() + self.life),
        )
        self.keys[made[0]] = made[1]
        return made

    def _keys_in_json(self) -> Answer:
        access, keys = self._new_keys()
        members = {"AccessKeyId": access, "SecretAccessKey": keys.secret, "Token": keys.session}
        return 200, {}, json.dumps({"Code": "Success", **members, "Expiration": _text(keys.ends)}).encode()

    def _sts(self, form: Fields, _fields: Fields) -> Answer:
        if form.get("Action") != "AssumeRoleWithWebIdentity" or not self._is_proof(form.get("WebIdentityToken", "")):
            return 400, {}, b"<E><Error><Code>InvalidIdentityToken</Code></Error></E>"
        access, keys = self._new_keys()
        members = {"AccessKeyId": access, "SecretAccessKey": keys.secret, "SessionToken": keys.session}
        text = "".join(
            f"<{name}>{value}</{name}>" for name, value in {**members, "Expiration": _text(keys.ends)}.items()
        )
        return 200, {}, f"<A><Credentials>{text}</Credentials></A>".encode()


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")

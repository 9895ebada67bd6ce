"""Client credentials: what proves which client asks. The verifier of the assertions is google-auth's."""

from __future__ import annotations

import calendar
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from google.auth import jwt
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.config.cloud_settings import PRIVATE_KEY
from sidecars.chassis.config.urls import Url
from sidecars.chassis.http.client import ClientResponse
from sidecars.chassis.http.tls import client_context
from sidecars.chassis.identity import token_places
from sidecars.chassis.identity.access_tokens import ASSERTION
from sidecars.chassis.identity.answers import NoCredentials
from sidecars.chassis.identity.oauth.oauth_client import ClientKey
from sidecars.chassis.identity.oauth.private_key import PrivateKey, UnusableKey, two_numbers
from sidecars.chassis.identity.service import Service, directly
from sidecars.chassis.identity.token_places import OAuthClient

ENDPOINT = "https://login.test/oauth/token"
KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
}


def pem(
    key: Any,
    form: PrivateFormat = PrivateFormat.PKCS8,
    password: KeySerializationEncryption = NoEncryption(),  # noqa: B008 - it has no state
) -> bytes:
    made: bytes = key.private_bytes(Encoding.PEM, form, password)
    return made


def verified(assertion: str, key: Any, audience: str) -> Mapping[str, Any]:
    """Return the claims, as google-auth reads and checks them."""
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    found: Mapping[str, Any] = jwt.decode(assertion, certs=public, audience=audience)  # type: ignore[no-untyped-call] # it has no types
    return found


class Endpoint:
    """A token endpoint with a clock that is `ahead`, which checks assertions with google-auth."""

    def __init__(self, key: Any, monkeypatch: pytest.MonkeyPatch, audience: str = ENDPOINT) -> None:
        self.key, self.audience, self.ahead = key, audience, 0.0
        self.forms: list[dict[str, str]] = []
        self.claims: list[Mapping[str, Any]] = []
        endpoint = self

        async def ask(_: Service, method: str, target: str, fields: Any, body: bytes | None = None) -> ClientResponse:
            assert (method, target) == ("POST", "/oauth/token")
            assert "authorization" not in {name.lower() for name, _ in fields}
            return endpoint.respond({name: each[0] for name, each in parse_qs((body or b"").decode()).items()})

        monkeypatch.setattr(Service, "ask", ask)
        monkeypatch.setattr("google.auth._helpers.utcnow", self._now)

    def _now(self) -> Any:
        from datetime import UTC, datetime  # noqa: PLC0415 - of this method alone

        return datetime.fromtimestamp(time.time() + self.ahead, UTC).replace(tzinfo=None)

    def respond(self, form: dict[str, str]) -> ClientResponse:
        self.forms.append(form)
        date = {"date": formatdate(time.time() + self.ahead, usegmt=True)}
        try:
            self.claims.append(verified(form["client_assertion"], self.key, self.audience))
        except ValueError as error:
            body = json.dumps({"error": "invalid_client", "error_description": str(error)}).encode()
            return ClientResponse(401, date, body, early=False)
        return ClientResponse(200, date, b'{"access_token": "a-token", "expires_in": 600}', early=False)


def client(file: Path, **more: Any) -> Any:
    settings: dict[str, Any] = {
        "token_url": Url(urlsplit(ENDPOINT)),
        "client_id": "shop",
        "method": PRIVATE_KEY,
        "secret": None,
        "key": file,
        "key_id": "",
        "key_audience": "",
        "more": {"scope": "orders"},
        "named": lambda field: f"AUTH_OAUTH_{field.upper()}",
    }
    return token_places.oauth2(OAuthClient(**{**settings, **more}), client_context, directly)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_an_assertion_is_one_that_google_auth_accepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    (tmp_path / "key.pem").write_bytes(pem(KEYS[algorithm]))
    endpoint = Endpoint(KEYS[algorithm], monkeypatch)
    source = client(tmp_path / "key.pem", key_id="k1")
    for _ in range(2):
        token = await source.fetch(50.0)
        assert (token.text, token.ends) == ("a-token", 650.0)
    claims, again = endpoint.claims
    assert (claims["iss"], claims["sub"], claims["exp"] - claims["iat"]) == ("shop", "shop", 300)
    assert claims["jti"] != again["jti"]
    form = endpoint.forms[0]
    assert (form["grant_type"], form["client_id"], form["scope"]) == ("client_credentials", "shop", "orders")
    assert form["client_assertion_type"] == ASSERTION
    head = json.loads(urlsafe_b64decode(form["client_assertion"].partition(".")[0] + "=="))
    assert head == {"typ": "JWT", "alg": algorithm, "kid": "k1"}


def test_a_signature_of_p384_is_one_that_cryptography_accepts() -> None:
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature  # noqa: PLC0415 - of this test
    from cryptography.hazmat.primitives.hashes import SHA384  # noqa: PLC0415 - of this test

    key = PrivateKey(pem(KEYS["ES384"]))
    made = key.sign(b"head.claims")
    key.close()
    numbers = (int.from_bytes(made[:48], "big"), int.from_bytes(made[48:], "big"))
    assert (key.algorithm, len(made)) == ("ES384", 96)
    KEYS["ES384"].public_key().verify(encode_dss_signature(*numbers), b"head.claims", ec.ECDSA(SHA384()))


@given(first=st.integers(1, 2**256 - 1), second=st.integers(1, 2**256 - 1))
def test_the_two_numbers_of_a_signature_have_their_full_length(first: int, second: int) -> None:
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature  # noqa: PLC0415 - of this test

    found = two_numbers(encode_dss_signature(first, second), 32)
    assert found == first.to_bytes(32, "big") + second.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "has no private key in PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "has no private key in PEM"),
        (pem(KEYS["ES256"], password=BestAvailableEncryption(b"pass")), "readable without a password"),
        (pem(KEYS["RS256"], PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"p")), "without a password"),
        (pem(rsa.generate_private_key(65537, 1024)), "has 1024 bits, and 2048 are the least"),
        (pem(ec.generate_private_key(ec.SECP256K1())), "is of another kind"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "is of another kind"),
    ],
)
def test_a_key_that_cannot_sign_is_a_clause(text: bytes, reason: str) -> None:
    with pytest.raises(UnusableKey, match=reason):
        PrivateKey(text)


def test_a_key_of_openssl_s_older_form_is_one_too() -> None:
    for algorithm in ("RS256", "ES256"):
        key = PrivateKey(pem(KEYS[algorithm], PrivateFormat.TraditionalOpenSSL))
        assert key.algorithm == algorithm
        key.close()


async def test_a_new_key_in_the_file_is_used_and_a_missing_file_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key.pem"
    endpoint = Endpoint(KEYS["RS256"], monkeypatch)
    source = client(file)
    with pytest.raises(NoCredentials, match=r"the file of AUTH_OAUTH_KEY cannot be read: No such file .*\(/\S+\)$"):
        await source.fetch(0.0)
    file.write_bytes(pem(KEYS["ES256"]))
    with pytest.raises(NoCredentials, match="AUTH_OAUTH_TOKEN_URL gives no token: it answered with 401"):
        await source.fetch(0.0)
    file.write_bytes(pem(KEYS["RS256"]))
    assert (await source.fetch(0.0)).text == "a-token"
    assert len(endpoint.claims) == 1


@pytest.mark.parametrize("ahead", [-7200.0, -40.0, 40.0, 7200.0])
async def test_an_assertion_has_the_endpoints_time_if_this_clock_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    (tmp_path / "key.pem").write_bytes(pem(KEYS["ES256"]))
    endpoint = Endpoint(KEYS["ES256"], monkeypatch)
    endpoint.ahead = ahead
    source = client(tmp_path / "key.pem")
    for _ in range(2):
        assert (await source.fetch(0.0)).text == "a-token"
    wrong = 1 if abs(ahead) > 300 or ahead < -10 else 0  # google-auth's verifier allows 10 s of the future
    assert len(endpoint.forms) == 2 + wrong  # the second token needs one request
    endpoint.ahead, endpoint.audience = ahead + 90_000, "https://another"
    with pytest.raises(NoCredentials):  # a Date that is more than a day off is no clock
        await source.fetch(0.0)


def test_the_audience_of_an_assertion_may_be_the_issuer(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(pem(KEYS["RS256"]))
    now = calendar.timegm((2026, 11, 30, 6, 0, 0))
    form: dict[str, str] = {}
    ClientKey("shop", tmp_path / "key.pem", "KEY", "", "https://login.test", clock=lambda: now).put(form, [])
    claims = json.loads(urlsafe_b64decode(form["client_assertion"].split(".")[1] + "=="))
    assert (claims["aud"], claims["iat"], claims["exp"]) == ("https://login.test", now, now + 300)

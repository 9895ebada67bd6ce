"""Requests for tokens: ours beside those of azure-identity and msal, and of google-auth, to the same services."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

from sidecars.ambassador.settings import Settings
from sidecars.chassis.config.settings import load
from sidecars.chassis.http.tls import PemFile, client_context
from sidecars.chassis.identity import token_places
from sidecars.chassis.identity.service import directly
from tests.ambassador.cloud_services import Clouds
from tests.ambassador.token_services import serving, token_services
from tests.logshipper.s3_servers import PEERS
from tests.support import ROOT

pytestmark = pytest.mark.processes

SCOPE = "https://storage.azure.com/.default"
PROOF = "the.pods.token"
CLIENT = "11111111-2222-3333-4444-555555555555"
TELL = ("metadata", "x-identity-header", "metadata-flavor", "content-type", "authorization")
"""The fields that a service looks at. All others name the client's program and version."""


class Recorded(Clouds):
    """The services of Azure, and all that was asked of them: method, path, parameters and fields."""

    def __init__(self) -> None:
        super().__init__(3600.0)
        self.proof = PROOF
        self.requests: list[tuple[str, str, dict[str, list[str]], dict[str, str]]] = []
        self.held.set()

    def respond(
        self, method: str, target: str, fields: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(target)
        given = parse_qs(parts.query) | parse_qs(body.decode())
        self.requests.append((method, parts.path, given, {name: fields[name] for name in TELL if name in fields}))
        if parts.path == "/tenant/v2.0/.well-known/openid-configuration":
            base = f"https://127.0.0.1:{self.port}/tenant/oauth2/v2.0"
            document = (
                f'{{"token_endpoint": "{base}/token", "authorization_endpoint": "{base}/authorize", "issuer": "i"}}'
            )
            return 200, {"Content-Type": "application/json"}, document.encode()
        status, more, answer = super().respond(method, target, fields, body)
        return status, {"Content-Type": "application/json", **more}, answer


@pytest.fixture
def python() -> str:
    """The Python of the extra `peers`, which has azure-identity."""
    path = PEERS / "python"
    if not list(PEERS.parent.glob("lib/*/site-packages/azure/identity")):
        if os.environ.get("CI"):
            pytest.fail("azure-identity is missing: make .venv/peers.stamp installs it")
        pytest.skip("azure-identity is missing: make .venv/peers.stamp installs it")
    return str(path)


@pytest.fixture
def plain() -> Iterator[Recorded]:
    made = Recorded()
    with serving(made):
        yield made


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[Recorded]:
    """The same with TLS, as msal wants it of Entra ID."""
    authority, made = trustme.CA(), Recorded()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serving(made, context):
        yield made


def theirs(python: str, library: str, environ: dict[str, str], ca: Path) -> str:
    script = str(ROOT / "tests" / "chassis" / "identity" / "azure_client.py")
    done = subprocess.run(
        [python, script, library, SCOPE],
        env={**environ, "CA": str(ca), "PATH": "", "HOME": str(ca.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def ours(environ: dict[str, str], ca: Path | None = None) -> str:
    own = {"AMBASSADOR_UPSTREAM": "https://orders", "AMBASSADOR_AUTH": "azure", "AMBASSADOR_AUTH_OAUTH_SCOPE": SCOPE}
    settings = load(Settings, {**own, **environ})
    file = PemFile("CA", str(ca)) if ca is not None else None
    token = await token_places.azure(settings, SCOPE, lambda: client_context(file), directly).fetch(0.0)
    return token.text


def told(requests: list[Any]) -> list[Any]:
    """Return what is compared: msal asks first where Entra's token endpoint is, and names itself in the form."""
    return [
        (
            method,
            path,
            {name: each for name, each in given.items() if not name.startswith(("client_info", "x-client"))},
            {name: each for name, each in fields.items() if name != "content-type"},
        )
        for method, path, given, fields in requests
        if "well-known" not in path
    ]


@pytest.mark.parametrize("library", ["default", "msal"])
@pytest.mark.parametrize("client", ["", CLIENT])
@pytest.mark.parametrize("place", ["App Service", "the node"])
async def test_a_managed_identity_is_asked_for_as_microsofts_libraries_do(
    python: str, plain: Recorded, tmp_path: Path, library: str, client: str, place: str
) -> None:
    base = f"http://127.0.0.1:{plain.port}"
    environ = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": base}
    if place == "App Service":  # it goes before the node, which would answer, too
        environ |= {"IDENTITY_ENDPOINT": f"{base}/msi/token", "IDENTITY_HEADER": PROOF}
    environ |= {"AZURE_CLIENT_ID": client} if client else {}
    assert theirs(python, library, environ, tmp_path / "none").startswith("cloud-token-")
    expected = told(plain.requests)[-1:]  # azure-identity asks the node first whether it is there
    plain.requests.clear()
    assert (await ours(environ)).startswith("cloud-token-")
    for method, path, given, fields in told(plain.requests):
        assert (method, path, given) == expected[0][:3]
        if place == "App Service":
            assert fields == {"x-identity-header": PROOF}
            assert expected[0][3].items() >= fields.items()  # msal adds a field for another product
        else:
            assert fields == expected[0][3] == {"metadata": "true"}
    assert len(plain.requests) == 1


async def test_workload_identity_is_exchanged_as_microsofts_libraries_do(
    python: str, encrypted: Recorded, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(PROOF)
    environ = {
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_TENANT_ID": "tenant",
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"),
        "AZURE_AUTHORITY_HOST": f"https://127.0.0.1:{encrypted.port}/",
        "IDENTITY_ENDPOINT": "http://127.0.0.1:1/never",
        "IDENTITY_HEADER": "never",
    }
    assert theirs(python, "default", environ, tmp_path / "ca.pem").startswith("cloud-token-")
    expected = told(encrypted.requests)
    encrypted.requests.clear()
    assert (await ours(environ, tmp_path / "ca.pem")).startswith("cloud-token-")
    assert told(encrypted.requests) == expected
    assert expected[0][2]["client_assertion"] == [PROOF]


@pytest.mark.parametrize("audience", ["", "https://run.test"])
async def test_googles_metadata_server_is_asked_as_google_auth_does(
    monkeypatch: pytest.MonkeyPatch, audience: str
) -> None:
    from google.auth import compute_engine  # noqa: PLC0415 - it reads the environment
    from google.auth.compute_engine import _metadata  # noqa: PLC0415 - it reads the environment
    from google.auth.transport.requests import Request  # noqa: PLC0415 - of this test

    scopes = ["https://a.test/x", "https://a.test/y"]
    with token_services() as services:
        host = f"127.0.0.1:{services.port}"
        monkeypatch.setattr(_metadata, "_get_metadata_root", lambda *_, **__: f"http://{host}/computeMetadata/v1/")
        engine: Any = compute_engine  # it has no types
        request: Any = Request()
        made: Any = (
            engine.IDTokenCredentials(request, audience, use_metadata_identity_endpoint=True)
            if audience
            else engine.Credentials(scopes=scopes)
        )
        made.refresh(request)
        expected = services.asked[-1]
        services.asked.clear()
        own = {"AMBASSADOR_UPSTREAM": "https://orders", "GCE_METADATA_HOST": host, "AMBASSADOR_AUTH": "gcp"}
        settings = load(Settings, own)
        await token_places.google(
            settings, "" if audience else " ".join(scopes), audience, client_context, directly
        ).fetch(0.0)
        (found,) = services.asked
        assert found[0] == expected[0] == "GET"
        assert urlsplit(found[1]).path == urlsplit(expected[1]).path
        assert parse_qs(urlsplit(found[1]).query) == parse_qs(urlsplit(expected[1]).query)
        assert found[2]["metadata-flavor"] == expected[2]["metadata-flavor"]

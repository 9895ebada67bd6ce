"""Tokens of the program, from services that are not ours, and what hostile services and upstreams get of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.ambassador.support import Ambassador, Backend, Peer
from tests.ambassador.token_services import CLIENT, CLIENT_SECRET, TokenServices, token_services
from tests.conftest import Start
from tests.support import PATIENCE, free_port, get, wait_until


class Api:
    """An upstream that accepts some tokens. It answers 401 to others."""

    def __init__(self) -> None:
        self.accepted: set[str] | None = None  # None: every token
        self.seen: list[bytes] = []
        self.location = b""

    def __call__(self, peer: Peer) -> None:
        while head := peer.head():
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            peer.exactly(length)
            self.seen.append(head)
            if self.location:
                peer.send(b"HTTP/1.1 307 X\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % self.location)
                continue
            ok = self.accepted is None or token_of(head) in self.accepted
            peer.send(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nok" % (b"200 OK" if ok else b"401 Unauthorized"))


def token_of(head: bytes) -> str:
    found = [line for line in head.split(b"\r\n") if line.lower().startswith(b"authorization: ")]
    assert len(found) == 1, head
    return found[0].decode().removeprefix("Authorization: Bearer ")


@pytest.fixture
def services() -> Iterator[TokenServices]:
    with token_services() as made:
        yield made


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def backend(api: Api) -> Iterator[Backend]:
    made = Backend(api)
    yield made
    made.stop()


def oauth2(services: TokenServices, **more: str) -> dict[str, str]:
    return {
        "AUTH": "oauth2",
        "AUTH_OAUTH_TOKEN_URL": f"http://127.0.0.1:{services.port}/oauth/token",
        "AUTH_USERNAME": CLIENT,
        "AUTH_PASSWORD": CLIENT_SECRET,
        **more,
    }


@pytest.mark.parametrize("way", ["basic", "post"])
def test_a_token_of_client_credentials_takes_the_place_of_the_apps_own(
    start: Start, services: TokenServices, api: Api, backend: Backend, way: str
) -> None:
    more = {
        "AUTH_OAUTH_SCOPE": "orders.write orders.read",
        "AUTH_AUDIENCE": "https://orders",
        "CONFINEMENT": "required",
    }
    ambassador = Ambassador(
        start, backend.url, **oauth2(services, **more, AUTH_OAUTH_CLIENT=way, AUTH_OAUTH_PARAMS="resource=a b")
    )
    for _ in range(3):
        assert ambassador.ask(b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\n\r\n")[0] == 200
    assert [token_of(head) for head in api.seen] == services.clients.tokens * 3
    assert services.clients.ways == [way]
    form = services.clients.forms[0]
    assert (form["audience"], form["resource"]) == ("https://orders", "a b")
    assert set(form["scope"].split()) == {"orders.read", "orders.write"}
    shown = ambassador.program.stderr + get(f"http://127.0.0.1:{ambassador.admin}/status?every").text
    assert not [secret for secret in (CLIENT_SECRET, services.clients.tokens[0]) if secret in shown]


def test_a_client_proves_who_it_is_with_its_private_key(
    start: Start, services: TokenServices, api: Api, backend: Backend, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    url = f"http://127.0.0.1:{services.port}/oauth/token"
    services.clients.public_key = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    services.clients.audience = url
    ambassador = Ambassador(
        start,
        backend.url,
        AUTH="oauth2",
        AUTH_OAUTH_TOKEN_URL=url,
        AUTH_OAUTH_CLIENT="private_key_jwt",
        AUTH_OAUTH_KEY=str(tmp_path / "key.pem"),
        AUTH_USERNAME=CLIENT,
        CONFINEMENT="required",
        LOG_LEVEL="debug",
    )
    assert ambassador.ask()[0] == 200
    assert (services.clients.ways, token_of(api.seen[0])) == (["key"], services.clients.tokens[0])
    shown = ambassador.program.stderr + get(f"http://127.0.0.1:{ambassador.admin}/status?every").text
    assert services.clients.forms[0]["client_assertion"] not in shown
    assert not [line for line in pem.decode().splitlines()[1:-1] if line in shown]


@pytest.mark.parametrize("life", ["0.01", None])
def test_a_token_endpoint_is_not_asked_again_and_again_whatever_life_it_gives(
    start: Start, services: TokenServices, api: Api, backend: Backend, life: str | None
) -> None:
    """A token of a hundredth of a second is none, and pauses follow. Without a life it is one of five minutes."""
    member = f', "expires_in": {life}' if life else ""
    services.answer = (200, {}, f'{{"access_token": "a-token-{life}"{member}}}'.encode())
    port = free_port()
    program = start(
        "ambassador",
        **{f"AMBASSADOR_{name}": value for name, value in oauth2(services).items()},
        AMBASSADOR_UPSTREAM=backend.url,
        AMBASSADOR_LISTEN=f"127.0.0.1:{port}",
        AMBASSADOR_ADMIN_LISTEN="off",
    )
    wait_until(lambda: services.asked, "the first fetch")
    if life:
        wait_until(lambda: "which is too short to use it" in program.stderr, "the warning")
        wait_until(lambda: len(services.asked) >= 3, "the third fetch")
    wait_until(lambda: _text(port), "the port")
    assert ("too short to use it" in _text(port)) == (life is not None)
    assert len(services.asked) <= (6 if life else 1)
    assert bool(api.seen) == (life is None)


def _text(port: int) -> str:
    try:
        return get(f"http://127.0.0.1:{port}/").text
    except httpx.TransportError:
        return ""


def test_a_401_has_one_new_token_and_the_request_is_sent_again_if_it_may_be(
    start: Start, services: TokenServices, api: Api, backend: Backend
) -> None:
    ambassador = Ambassador(start, backend.url, **oauth2(services))
    assert ambassador.ask()[0] == 200
    api.accepted = set()  # the key of the tokens has changed
    services.held.clear()
    answers: list[int] = []
    apps = [threading.Thread(target=lambda: answers.append(ambassador.ask()[0])) for _ in range(5)]
    for app in apps:
        app.start()
    wait_until(lambda: len(services.asked) == 2 and len(api.seen) >= 6, "the second fetch")

    class Newest(set[str]):
        def __contains__(self, token: object) -> bool:
            return token == services.clients.tokens[-1] and len(services.clients.tokens) == 2

    api.accepted = Newest()
    services.held.set()
    for app in apps:
        app.join()
    assert answers == [200] * 5
    assert len(services.clients.tokens) == 2
    api.accepted = set()
    assert ambassador.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")[0] == 401
    seen = len(api.seen)
    assert ambassador.ask()[0] == 401  # once in a minute
    assert len(api.seen) == seen + 1
    assert len(services.clients.tokens) == 2


def test_requests_wait_for_the_first_token_and_get_the_reason_if_none_comes(
    start: Start, services: TokenServices, api: Api, backend: Backend
) -> None:
    services.answer = (401, {}, b'{"error": "invalid_client", "error_description": "no such client"}')
    port, admin = free_port(), free_port()
    program = start(
        "ambassador",
        **{f"AMBASSADOR_{name}": value for name, value in oauth2(services).items()},
        AMBASSADOR_UPSTREAM=backend.url,
        AMBASSADOR_LISTEN=f"127.0.0.1:{port}",
        AMBASSADOR_ADMIN_LISTEN=f"127.0.0.1:{admin}",
    )

    def answer() -> httpx.Response | None:
        try:
            return get(f"http://127.0.0.1:{port}/")
        except httpx.TransportError:
            return None

    wait_until(lambda: answer() is not None, "the port")
    found = answer()
    assert found is not None
    assert found.status_code == 503
    assert "AMBASSADOR_AUTH_OAUTH_TOKEN_URL gives no token: it answered with 401: invalid_client" in found.text
    assert not api.seen
    ready = get(f"http://127.0.0.1:{admin}/readyz")
    assert ready.status_code == 503
    assert "identity of default: it has no credentials" in ready.text
    services.answer = None
    program.wait_ready(admin)
    assert [response.status_code for response in (answer(),) if response] == [200]
    wait_until(lambda: "upstream-credentials-missing" in program.stderr, "the warning")


@pytest.mark.parametrize(
    "answer",
    [
        (307, {"Location": "http://127.0.0.1:{other}/token"}, b""),
        (200, {}, json.dumps({"access_token": "a\r\nX-Evil: 1"}).encode()),
        (200, {}, b'{"access_token": "' + b"a" * 200_000 + b'"}'),
    ],
)
def test_a_poisoned_token_endpoint_gets_no_secret_elsewhere_and_no_byte_into_a_request(
    start: Start, services: TokenServices, api: Api, backend: Backend, answer: tuple[int, dict[str, str], bytes]
) -> None:
    other = Backend(Api())
    fields = {name: value.format(other=other.port) for name, value in answer[1].items()}
    services.answer = (answer[0], fields, answer[2])
    try:
        port = free_port()
        program = start(
            "ambassador",
            **{f"AMBASSADOR_{name}": value for name, value in oauth2(services).items()},
            AMBASSADOR_UPSTREAM=backend.url,
            AMBASSADOR_LISTEN=f"127.0.0.1:{port}",
            AMBASSADOR_ADMIN_LISTEN="off",
        )
        wait_until(lambda: "upstream-credentials-missing" in program.stderr, "the warning")
        assert get(f"http://127.0.0.1:{port}/").status_code == 503
        assert not api.seen
        assert not other.connections
    finally:
        other.stop()


def test_a_redirect_of_the_upstream_is_the_apps_and_takes_no_token_along(
    start: Start, services: TokenServices, api: Api, backend: Backend
) -> None:
    other = Backend(Api())
    api.location = f"http://127.0.0.1:{other.port}/".encode()
    try:
        ambassador = Ambassador(start, backend.url, **oauth2(services))
        status, head, _ = ambassador.ask()
        assert status == 307
        assert services.clients.tokens[0].encode() not in head
        elsewhere = f"GET http://127.0.0.1:{other.port}/ HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        assert ambassador.ask(elsewhere)[0] >= 400
        assert not other.connections
    finally:
        other.stop()


def test_google_and_azure_tokens_come_from_the_metadata_servers(
    start: Start, services: TokenServices, api: Api, backend: Backend
) -> None:
    host = f"127.0.0.1:{services.port}"
    ports = [free_port() for _ in range(4)]
    upstreams = {
        "STORE": {"AUTH": "gcp", "AUTH_OAUTH_SCOPE": "https://a.test/x https://a.test/y"},
        "RUN": {"AUTH": "gcp", "AUTH_AUDIENCE": "https://run.test"},
        "BLOB": {"AUTH": "azure", "AUTH_OAUTH_SCOPE": "https://storage.azure.com/.default"},
    }
    environ = {
        f"AMBASSADOR_{name}_{field}": value
        for (name, fields), port in zip(upstreams.items(), ports, strict=False)
        for field, value in {**fields, "UPSTREAM": backend.url, "LISTEN": f"127.0.0.1:{port}"}.items()
    }
    environ |= {"GCE_METADATA_HOST": host, "AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://{host}"}
    program = start("ambassador", **environ, AMBASSADOR_ADMIN_LISTEN=f"127.0.0.1:{ports[3]}")
    program.wait_ready(ports[3])
    for port in ports[:3]:
        assert get(f"http://127.0.0.1:{port}/").status_code == 200
    store, run, blob = (token_of(head) for head in api.seen)
    assert store.startswith("google-token-")
    assert blob.startswith("azure-token-")
    assert run.count(".") == 2
    targets = {target for _, target, _, _ in services.asked}
    account = "/computeMetadata/v1/instance/service-accounts/default"
    assert f"{account}/token?scopes=https%3A%2F%2Fa.test%2Fx,https%3A%2F%2Fa.test%2Fy" in targets
    assert f"{account}/identity?audience=https%3A%2F%2Frun.test&format=full" in targets
    assert "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com" in targets


def test_an_app_that_speaks_http2_gets_a_token_in_its_requests_too(
    start: Start, services: TokenServices, api: Api, backend: Backend
) -> None:
    ambassador = Ambassador(start, backend.url, **oauth2(services))
    with httpx.Client(http1=False, http2=True, trust_env=False, timeout=PATIENCE) as client:
        found = client.get(f"{ambassador.url}/", headers={"Authorization": "Basic YTpi"})
    assert found.status_code == 200
    assert token_of(api.seen[0]) == services.clients.tokens[0]

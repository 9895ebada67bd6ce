"""Short-lived credentials of each cloud in the real program: renewed in time, from rotated files, for one origin."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ambassador.aws_verifier import Verifier
from tests.ambassador.cloud_services import Clouds
from tests.ambassador.support import Ambassador, Backend, Peer, answering
from tests.ambassador.token_services import serving
from tests.conftest import Start
from tests.support import wait_until

LIFE = 6.0  # seconds of a credential

AZURE = {"AMBASSADOR_AUTH": "azure", "AMBASSADOR_AUTH_OAUTH_SCOPE": "https://storage.azure.com/.default"}
AWS = {
    "AMBASSADOR_AUTH": "aws",
    "AMBASSADOR_AUTH_AWS_SERVICE": "execute-api",
    "AWS_REGION": "eu-central-1",
    "AWS_ROLE_SESSION_NAME": "orders",
}
PLACES = {
    "App Service": {**AZURE, "IDENTITY_ENDPOINT": "{clouds}/msi/token", "IDENTITY_HEADER_FILE": "{file}"},
    "Azure's metadata service": {**AZURE, "AZURE_POD_IDENTITY_AUTHORITY_HOST": "{clouds}"},
    "Azure's workload identity": {
        **AZURE,
        "AZURE_AUTHORITY_HOST": "{clouds}/",
        "AZURE_TENANT_ID": "tenant",
        "AZURE_CLIENT_ID": "client",
        "AZURE_FEDERATED_TOKEN_FILE": "{file}",
    },
    "EKS Pod Identity": {
        **AWS,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "{clouds}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "{file}",
    },
    "IRSA": {
        **AWS,
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/orders",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "{file}",
        "AWS_ENDPOINT_URL_STS": "{clouds}",
    },
    "the instance": {**AWS, "AWS_EC2_METADATA_SERVICE_ENDPOINT": "{clouds}"},
}
WITH_FILE = [name for name, settings in PLACES.items() if "{file}" in settings.values()]


class Api:
    """An upstream that accepts the tokens of the clouds until their end, and 401 to all else."""

    def __init__(self, clouds: Clouds) -> None:
        self.clouds = clouds
        self.heads: list[bytes] = []

    def __call__(self, peer: Peer) -> None:
        while head := peer.head():
            self.heads.append(head)
            token = head.partition(b"\r\nAuthorization: Bearer ")[2].partition(b"\r\n")[0].decode()
            status = b"200 OK" if self.clouds.accepts(token) else b"401 Unauthorized"
            peer.send(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nok" % status)


@pytest.fixture
def clouds() -> Iterator[Clouds]:
    made = Clouds(LIFE)
    made.held.set()
    with serving(made):
        yield made


def rotate(clouds: Clouds, file: Path, proof: str) -> None:
    """Replace the file as the kubelet does, and let the service accept what it has now alone."""
    (file.parent / "new").write_text(f"{proof}\n")
    (file.parent / "new").replace(file)
    clouds.proof = proof


def settings(name: str, clouds: Clouds, file: Path) -> dict[str, str]:
    return {
        variable: value.format(clouds=f"http://127.0.0.1:{clouds.port}", file=file)
        for variable, value in PLACES[name].items()
    }


def upstream(name: str, clouds: Clouds) -> tuple[Backend, Verifier | Api]:
    handler: Verifier | Api = Api(clouds) if PLACES[name]["AMBASSADOR_AUTH"] == "azure" else Verifier("execute-api")
    if isinstance(handler, Verifier):
        handler.keys = clouds.keys
    return Backend(handler), handler


class Program(Ambassador):
    """The program with variables of the clouds, which have no prefix."""

    def __init__(self, start: Start, url: str, environ: dict[str, str], **more: str) -> None:
        prefix = "AMBASSADOR_"
        own = {name.removeprefix(prefix): value for name, value in environ.items() if name.startswith(prefix)}
        foreign = {name: value for name, value in environ.items() if not name.startswith(prefix)}
        super().__init__(lambda name, **made: start(name, **made, **foreign), url, **own, **more)


@pytest.mark.parametrize("name", PLACES)
def test_credentials_of_each_place_are_renewed_before_they_end(
    start: Start, clouds: Clouds, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "projected" / "token"
    file.parent.mkdir()
    rotate(clouds, file, "the-first-proof-of-the-pod")
    backend, _ = upstream(name, clouds)
    try:
        ambassador = Program(start, backend.url, settings(name, clouds, file), CONFINEMENT="required")
        statuses: list[int] = []

        def has(number: int) -> bool:
            statuses.append(ambassador.ask()[0])
            return clouds.given >= number

        def ask_until(number: int) -> None:
            wait_until(lambda: has(number), f"credential {number}")

        ask_until(2)
        if name in WITH_FILE:
            rotate(clouds, file, "the-second-proof-of-the-pod")
        ask_until(3)
        assert set(statuses) == {200}
        if name in WITH_FILE:
            assert clouds.seen[-1] == "the-second-proof-of-the-pod"
        shown = ambassador.program.stderr
        assert not [secret for secret in clouds.secrets if secret in shown and secret not in clouds.keys]
        assert "upstream-credentials-missing" not in shown
    finally:
        backend.stop()


class Own:
    """The upstream with the identity: it redirects /redirect elsewhere, fails /fail, and is late for one /late."""

    def __init__(self, elsewhere: str) -> None:
        self.elsewhere = elsewhere.encode()
        self.heads: list[bytes] = []
        self.late = threading.Event()

    def __call__(self, peer: Peer) -> None:
        while head := peer.head():
            self.heads.append(head)
            if b" /late " in head and self.count(b" /late ") == 1:
                self.late.wait(30)
            peer.send(self._answer(head))

    def _answer(self, head: bytes) -> bytes:
        if b" /redirect " in head:
            return b"HTTP/1.1 307 X\r\nLocation: %b/elsewhere\r\nContent-Length: 0\r\n\r\n" % self.elsewhere
        if b" /fail " in head:
            return b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    def count(self, path: bytes) -> int:
        return len([head for head in self.heads if path in head])


@pytest.mark.parametrize("name", ["App Service", "IRSA"])
def test_no_other_origin_sees_anything_of_an_identity(start: Start, clouds: Clouds, tmp_path: Path, name: str) -> None:
    """Redirects, a mirror, routes to another upstream of the same port, repeats and hedges, in one program."""
    clouds.life = 3600.0
    rotate(clouds, tmp_path / "token", "the-only-proof-of-the-pod")
    seen_elsewhere: list[bytes] = []
    other = Backend(answering(seen=seen_elsewhere))
    own = Own(other.url)
    backends = [Backend(own), Backend(own)]
    try:
        environ = settings(name, clouds, tmp_path / "token")
        environ = {variable.replace("AMBASSADOR_", "AMBASSADOR_OWN_"): value for variable, value in environ.items()}
        ports = {"OWN_LISTEN": "", "OTHER_LISTEN": "", "COPY_LISTEN": f"unix:{tmp_path}/copy.sock"}
        ambassador = Program(
            start,
            "",
            environ,
            OWN_UPSTREAM=",".join(backend.url for backend in backends),
            OWN_MIRROR="copy",
            OWN_HEDGE_AFTER="500ms",
            OTHER_UPSTREAM=other.url,
            OTHER_ROUTE="/other",
            COPY_UPSTREAM=other.url,
            **ports,
        )
        for path, status in (("/a", 200), ("/redirect", 307), ("/fail", 503), ("/late", 200), ("/other/x", 200)):
            request = f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\n\r\n"
            assert ambassador.ask(request.encode())[0] == status, path
        wait_until(lambda: len(seen_elsewhere) == 5, "the copies of four requests, and the one of the route")
        assert (own.count(b" /late "), own.count(b" /fail ")) == (2, 3)
        assert all(b"YTpi" not in head for head in own.heads)
        proofs = (b"\r\nAuthorization: Bearer cloud-token", b"\r\nAuthorization: AWS4-HMAC-SHA256")
        assert all(any(proof in head for proof in proofs) for head in own.heads)
        text = b"".join(seen_elsewhere).decode().lower()
        assert not [secret for secret in clouds.secrets if secret.lower() in text]
        assert not [word for word in ("aws4", "bearer", "x-amz-", "x-identity-header") if word in text]
    finally:
        own.late.set()
        for backend in (*backends, other):
            backend.stop()

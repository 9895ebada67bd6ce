"""TLS, certificates, tokens and passwords: towards the app, and on the adapter's own port."""

from __future__ import annotations

import ssl
from pathlib import Path

import bcrypt
import httpx
import pytest
import trustme

from tests.adapter.conftest import StartAdapter
from tests.adapter.support import Adapter, App, page
from tests.certificates import named_by_cn_only
from tests.conftest import Start
from tests.support import PATIENCE


class Authority:
    """A CA, and the files of the certificates that it signs."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name, self.ca = folder, name, trustme.CA()
        self.file = str(folder / f"{name}-ca.pem")
        self.ca.cert_pem.write_to_path(self.file)

    def issue(self, host: str = "127.0.0.1") -> str:
        """Return a file with a certificate and its key."""
        path = str(self.folder / f"{self.name}-{host}.pem")
        self.ca.issue_cert(host).private_key_and_cert_chain_pem.write_to_path(path)
        return path

    def server(self, *, demanding: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert("127.0.0.1").configure_cert(context)
        if demanding:
            self.ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ca.configure_trust(context)
        return context


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "theirs")


# -- towards the app ---------------------------------------------------------------------------------------------------


def test_an_app_is_asked_over_tls_and_shown_a_certificate(adapter: StartAdapter, ours: Authority) -> None:
    with App({"/metrics": page()}, tls=ours.server(demanding=True)) as app:
        running = adapter(app.url, ADAPTER_TARGET_CA=ours.file, ADAPTER_TARGET_CERT=ours.issue("client"))
        assert [running.get("/health").status_code for _ in range(3)] == [200] * 3
        assert app.connections == 1


def test_an_app_whose_certificate_is_not_trusted_is_not_asked(
    adapter: StartAdapter, ours: Authority, theirs: Authority
) -> None:
    with App({"/metrics": page()}, tls=theirs.server()) as app:
        running = adapter(app.url, ADAPTER_TARGET_CA=ours.file)
        response = running.get("/health")

        assert not app.seen
        with httpx.Client(verify=theirs.client(), trust_env=False, timeout=PATIENCE) as client:  # with the CA it works
            assert client.get(f"{app.url}/metrics", headers={"Connection": "close"}).is_success
    assert response.status_code == 503
    assert "its certificate is not trusted" in response.text
    assert running.metric("adapter_upstream_errors_total", app="default", reason="tls") == 1


def test_an_app_whose_certificate_has_its_name_only_as_cn_is_not_asked(
    adapter: StartAdapter, ours: Authority, tmp_path: Path
) -> None:
    with App({"/metrics": page()}, tls=named_by_cn_only(ours.ca, "localhost", tmp_path)) as app:
        running = adapter(app.url.replace("127.0.0.1", "localhost"), ADAPTER_TARGET_CA=ours.file)
        response = running.get("/health")
        assert not app.seen
    assert response.status_code == 503
    assert "its certificate" in response.text


def test_an_app_that_speaks_no_tls_is_told_as_that(adapter: StartAdapter) -> None:
    plain = adapter("http://127.0.0.1:1")
    response = adapter(f"https://127.0.0.1:{plain.admin}", "/health=/livez").get("/health")

    assert response.status_code == 503
    assert "TLS failed: wrong version number" in response.text


def test_a_new_authority_counts_at_the_next_request(adapter: StartAdapter, ours: Authority, theirs: Authority) -> None:
    with App({"/metrics": page()}, tls=ours.server()) as app:
        running = adapter(app.url, ADAPTER_TARGET_CA=ours.file)
        assert running.get("/health").status_code == 200

        Path(theirs.file).replace(ours.file)

        assert "not trusted" in running.get("/health").text


def test_a_token_by_file_is_sent_and_a_new_one_counts_at_once(adapter: StartAdapter, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_TARGET_TOKEN_FILE=str(file))
        running.get("/health")
        file.write_text("second\n")
        running.get("/health")
        file.unlink()
        gone = running.get("/health")

        sent = [head for head in app.heads if b"authorization: bearer" in head.lower()]
        assert [b"first" in head for head in sent] == [True, False]
        assert b"second" in sent[1]
    assert gone.status_code == 503
    assert "ADAPTER_TARGET_TOKEN cannot be read any more" in gone.text
    assert "first" not in running.program.stderr + str(running.status())


def test_a_name_and_a_password_are_sent(adapter: StartAdapter) -> None:
    with App({"/metrics": page()}) as app:
        adapter(app.url, ADAPTER_TARGET_USERNAME="joe", ADAPTER_TARGET_PASSWORD="hunter2").get("/health")

        assert b"basic am9lOmh1bnRlcjI=" in app.heads[0].lower().replace(b"am9lomh1bnrlcji=", b"am9lOmh1bnRlcjI=")


@pytest.mark.parametrize(
    ("name", "why", "code"),
    [
        ("ADAPTER_TARGET_CA", "cannot be read", 74),
        ("ADAPTER_TLS_CERT", "cannot be read", 74),
        ("ADAPTER_BASIC_AUTH", "htpasswd", 78),
    ],
)
def test_files_that_cannot_be_used_end_the_start(start: Start, name: str, why: str, code: int) -> None:
    program = start("adapter", **{"ADAPTER_TARGET": "https://127.0.0.1:1", name: "/nowhere"})

    assert program.wait() == code
    assert name in program.logs[-1]["msg"]
    assert why in program.logs[-1]["msg"]


# -- on its own port ----------------------------------------------------------------------------------------------


def ask(running: Adapter, context: ssl.SSLContext) -> int:
    with httpx.Client(verify=context, trust_env=False, timeout=PATIENCE) as client:
        return client.get(f"https://127.0.0.1:{running.port}/health").status_code


def test_it_speaks_tls_to_who_shows_a_certificate_and_follows_its_files(
    adapter: StartAdapter, ours: Authority, theirs: Authority
) -> None:
    mine = ours.issue()
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_TLS_CERT=mine, ADAPTER_CLIENT_CA=theirs.file)
        client, renewed = ours.client(), theirs.client()
        with pytest.raises(httpx.TransportError):
            ask(running, client)
        theirs.ca.issue_cert("monitor").configure_cert(client)
        assert ask(running, client) == 200

        Path(theirs.issue()).replace(mine)

        theirs.ca.issue_cert("monitor").configure_cert(renewed)
        assert ask(running, renewed) == 200
        with pytest.raises(httpx.TransportError):
            ask(running, client)


def test_only_who_is_known_may_ask(adapter: StartAdapter, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"prometheus:{bcrypt.hashpw(b'hunter2', bcrypt.gensalt(10)).decode()}\n")
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_BASIC_AUTH_FILE=str(users), ADAPTER_TOKEN="t0ken")
        url = f"http://127.0.0.1:{running.port}/health"
        with httpx.Client(trust_env=False, timeout=20) as client:
            known = [client.get(url, auth=("prometheus", "hunter2")).status_code for _ in range(3)]
            wrong = client.get(url, auth=("prometheus", "guess")).status_code
            token = client.get(url, headers={"Authorization": "Bearer t0ken"}).status_code
            nobody = client.get(url)

        assert app.seen["/metrics"] == 4
    assert (known, wrong, token, nobody.status_code) == ([200] * 3, 401, 200, 401)
    assert nobody.headers["WWW-Authenticate"] == 'Basic realm="adapter", Bearer'
    assert running.metric("adapter_requests_total", route="other", code="401") == 2
    assert "hunter2" not in running.program.stderr
    assert "t0ken" not in running.program.stderr + str(running.status())

"""Signatures of the program, as a service sees them that is not ours: botocore's signer, and SeaweedFS."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import trustme

from tests.ambassador.aws_verifier import ACCESS, SECRET, SESSION, Verifier
from tests.ambassador.aws_verifier_http2 import Http2Verifier
from tests.ambassador.support import Ambassador, Backend
from tests.ambassador.token_services import token_services
from tests.conftest import Start
from tests.logshipper import s3_servers
from tests.logshipper.receivers import object_store
from tests.support import free_port, get

KEYS = {"AUTH": "aws", "AUTH_USERNAME": ACCESS, "AUTH_PASSWORD": SECRET, "AUTH_AWS_REGION": "eu-central-1"}


@pytest.fixture
def verifier() -> Verifier:
    return Verifier("execute-api")


@pytest.fixture
def backend(verifier: Verifier) -> Iterator[Backend]:
    made = Backend(verifier)
    yield made
    made.stop()


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def put(path: str, body: bytes, *fields: str) -> bytes:
    lines = [f"PUT {path} HTTP/1.1", "Host: app", *fields, f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_each_request_is_signed_as_it_is_sent_and_the_apps_own_identity_is_gone(
    start: Start, backend: Backend, verifier: Verifier
) -> None:
    verifier.session = SESSION
    environ = {**KEYS, "AUTH_AWS_SERVICE": "execute-api", "AUTH_SESSION_TOKEN": SESSION}
    ambassador = Ambassador(start, backend.url, HEADERS="X-Amz-Meta-Team: shop\n+X-Amz-Meta-App: b", **environ)
    requests = [
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\nX-Amz-Date: 1\r\nX-Amz-Security-Token: x\r\n\r\n",
        b"GET /a//b/../c%20d?z=1&a=%2F&a=&b HTTP/1.1\r\nHost: a\r\nX-Amz-Meta-App: a\r\n\r\n",
        b"DELETE /prod/things/7 HTTP/1.1\r\nHost: a\r\n\r\n",
        put("/prod", b'{"a":1}', "Content-Type: application/json"),
        b"POST /prod HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
    ]
    for request in requests:
        status, _, body = ambassador.ask(request)
        assert (status, body) == (200, b"ok"), body
    with ambassador.connect() as app:
        head, body = put("/prod", b"wait", "Expect: 100-continue")[:-4], b"wait"
        app.send(head)
        assert app.head() == b"HTTP/1.1 100 Continue\r\n\r\n"  # ours, at once: the body must be held
        app.send(body)
        assert app.response()[0] == 200
    assert [seen.body for seen in verifier.seen][3:] == [b'{"a":1}', b"abc", b"wait"]
    assert all(b"Basic" not in str(seen.fields).encode() for seen in verifier.seen)
    assert verifier.seen[1].fields["x-amz-meta-app"] in ("a,b", "b,a")
    assert SECRET not in ambassador.program.stderr


def test_a_body_that_must_be_signed_whole_is_held_and_413_beyond_the_buffer(
    start: Start, backend: Backend, verifier: Verifier
) -> None:
    ambassador = Ambassador(start, backend.url, RETRY_BUFFER="4KiB", **{**KEYS, "AUTH_AWS_SERVICE": "execute-api"})
    whole = put("/", b"x" * 4000)
    with ambassador.connect() as app:
        app.send(whole[:500])
        app.send(whole[500:])
        assert app.response()[0] == 200
    assert verifier.seen[0].body == b"x" * 4000
    with ambassador.connect() as app:
        app.send(put("/", b"x" * 5000)[:300])
        status, _, body = app.response()
        assert status == 413
        assert b"must be held to be signed, and is larger than RETRY_BUFFER" in body
    with ambassador.connect() as app:
        app.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        app.send(b"1000\r\n" + b"x" * 4096 + b"\r\n1000\r\n" + b"x" * 4096 + b"\r\n")
        assert app.response()[0] == 413
    assert len(verifier.seen) == 1


@pytest.mark.parametrize(
    ("tls", "payload", "kind"),
    [
        (False, "auto", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        (True, "auto", "UNSIGNED-PAYLOAD"),
        (True, "signed", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        (False, "unsigned", "UNSIGNED-PAYLOAD"),
    ],
)
def test_a_body_for_s3_streams_in_signed_chunks_or_unsigned(
    start: Start, tmp_path: Path, *, tls: bool, payload: str, kind: str
) -> None:
    verifier = Verifier("s3")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    backend = Backend(verifier, tls=server_context(authority) if tls else None)
    try:
        environ = {**KEYS, "AUTH_AWS_SERVICE": "s3", "AUTH_AWS_PAYLOAD": payload, "PROTOCOL": "auto"}
        environ |= {"TLS_CA": str(tmp_path / "ca.pem")} if tls else {}
        upstream = backend.url.replace("http:", "https:") if tls else backend.url
        ambassador = Ambassador(start, upstream, RETRY_BUFFER="8KiB", **environ)
        body = bytes(range(256)) * 900  # more than three chunks, and than is held
        request = put("/bucket/a%20key+1", body, "Content-Encoding: gzip", "X-Amz-Meta-A: b")
        with ambassador.connect() as app:
            for at in range(0, len(request), 50_000):
                app.send(request[at : at + 50_000])
            status, _, answer = app.response()
        assert (status, answer) == (200, b"ok"), answer
        assert verifier.seen[0].body == body
        assert verifier.seen[0].fields["x-amz-content-sha256"] == kind
        status, _, answer = ambassador.ask(put("/bucket/small", b"small"))
        assert (status, answer) == (200, b"ok"), answer
        wanted = "UNSIGNED-PAYLOAD" if payload == "unsigned" else hashlib.sha256(b"small").hexdigest()
        assert verifier.seen[1].fields["x-amz-content-sha256"] == wanted
    finally:
        backend.stop()


@pytest.mark.parametrize(("service", "payload"), [("execute-api", "auto"), ("s3", "auto"), ("s3", "signed")])
def test_requests_over_http2_are_signed_as_they_are_sent(
    start: Start, tmp_path: Path, service: str, payload: str
) -> None:
    verifier = Http2Verifier(service, SESSION)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = server_context(authority)
    context.set_alpn_protocols(["h2"])
    backend = Backend(verifier, tls=context)
    try:
        environ = {**KEYS, "AUTH_AWS_SERVICE": service, "AUTH_SESSION_TOKEN": SESSION, "AUTH_AWS_PAYLOAD": payload}
        url = backend.url.replace("http:", "https:")
        ambassador = Ambassador(
            start, url, TLS_CA=str(tmp_path / "ca.pem"), HEADERS="+X-Amz-Meta-App: b", RETRY_BUFFER="512KiB", **environ
        )
        large = bytes(range(256)) * 900  # more than three chunks, and than a window of HTTP/2
        requests = [
            b"GET /a/../b%20c//d?z=1&a=%2F&a=&b HTTP/1.1\r\nHost: a\r\nX-Amz-Meta-App: a\r\n\r\n",
            put("/bucket/small", b"small", "Content-Type: text/plain"),
            put("/bucket/large", large),
        ]
        for request in requests:
            with ambassador.connect() as app:
                app.send(request[:60_000])
                app.send(request[60_000:])
                status, _, answer = app.response()
            assert (status, answer) == (200, b"ok"), answer
        assert set(verifier.protocols) == {"h2"}
        assert verifier.seen[2].body == large
        kinds = {"execute-api": hashlib.sha256(large).hexdigest(), "auto": "UNSIGNED-PAYLOAD"}
        kind = kinds.get(service) or kinds.get(payload) or "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
        assert verifier.seen[2].fields.get("x-amz-content-sha256", kind) == kind
        verifier.tolerance = -1.0  # the oracle can say no
        assert ambassador.ask()[0] == 403
    finally:
        backend.stop()


@pytest.mark.parametrize("ahead", [-7200.0, 7200.0])
def test_a_signature_is_dated_by_the_clock_of_aws_if_this_one_is_wrong(
    start: Start, backend: Backend, verifier: Verifier, ahead: float
) -> None:
    verifier.ahead = ahead
    ambassador = Ambassador(start, backend.url, **{**KEYS, "AUTH_AWS_SERVICE": "execute-api"})
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
    assert ambassador.ask(post)[0] == 403  # it is not sent again: it is not idempotent
    for request in (post, put("/", b"body"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
        assert ambassador.ask(request)[0] == 200
    assert [seen.problem for seen in verifier.seen] == ["RequestTimeTooSkewed", "", "", ""]
    (line,) = [line for line in ambassador.program.logs if line.get("code") == "clock-differs"]
    assert abs(line["seconds"] - ahead) < 60


def test_a_request_that_may_be_repeated_is_sent_again_with_the_clock_of_aws(
    start: Start, backend: Backend, verifier: Verifier
) -> None:
    verifier.ahead = 7200.0
    ambassador = Ambassador(start, backend.url, **{**KEYS, "AUTH_AWS_SERVICE": "execute-api"})
    assert ambassador.ask(put("/", b"body"))[0] == 200
    assert [seen.problem for seen in verifier.seen] == ["RequestTimeTooSkewed", ""]


def test_a_date_that_lies_does_not_stop_the_requests(start: Start, backend: Backend, verifier: Verifier) -> None:
    verifier.says_ahead = 7200.0
    ambassador = Ambassador(start, backend.url, **{**KEYS, "AUTH_AWS_SERVICE": "execute-api"})
    verifier.status = 403  # a right is missing
    assert ambassador.ask()[0] == 403
    verifier.status = 0
    assert [ambassador.ask()[0] for _ in range(3)] == [200] * 3


def test_an_attempt_that_is_repeated_is_signed_for_its_own_endpoint(start: Start) -> None:
    bad, good = Verifier("s3"), Verifier("s3")
    bad.status = 503
    backends = [Backend(bad), Backend(good)]
    try:
        urls = ",".join(backend.url for backend in backends)
        ambassador = Ambassador(
            start, urls, BALANCE="round_robin", EJECT_AFTER="1000", **{**KEYS, "AUTH_AWS_SERVICE": "s3"}
        )
        for _ in range(4):
            status, _, answer = ambassador.ask(put("/b/k", b"body"))
            assert (status, answer) == (200, b"ok"), answer
        assert bad.seen
        assert {seen.problem for seen in bad.seen + good.seen} == {""}
        hosts = {seen.fields["host"] for seen in bad.seen + good.seen}
        assert hosts == {f"127.0.0.1:{backend.port}" for backend in backends}
    finally:
        for backend in backends:
            backend.stop()


def test_the_role_of_a_service_account_is_assumed_at_sts_by_the_confined_program(
    start: Start, backend: Backend, verifier: Verifier, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("the.pods.token\n")
    verifier.session = SESSION
    keys = {
        "AccessKeyId": ACCESS,
        "SecretAccessKey": SECRET,
        "SessionToken": SESSION,
        "Expiration": "2126-01-01T00:00:00Z",
    }
    with token_services() as sts:
        xml = "".join(f"<{name}>{value}</{name}>" for name, value in keys.items())
        sts.answer = (200, {}, f"<A><Credentials>{xml}</Credentials></A>".encode())
        port, admin = free_port(), free_port()
        program = start(
            "ambassador",
            AMBASSADOR_UPSTREAM=backend.url,
            AMBASSADOR_LISTEN=f"127.0.0.1:{port}",
            AMBASSADOR_ADMIN_LISTEN=f"127.0.0.1:{admin}",
            AMBASSADOR_AUTH="aws",
            AMBASSADOR_AUTH_AWS_SERVICE="execute-api",
            AMBASSADOR_CONFINEMENT="required",
            AWS_REGION="eu-central-1",
            AWS_ROLE_ARN="arn:aws:iam::123456789012:role/orders",
            AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "token"),
            AWS_ENDPOINT_URL_STS=f"http://127.0.0.1:{sts.port}",
        )
        program.wait_ready(admin)
        assert get(f"http://127.0.0.1:{port}/prod").status_code == 200
        assert [seen.problem for seen in verifier.seen] == [""]
        ((_, _, _, form),) = sts.asked
        assert parse_qs(form.decode())["WebIdentityToken"] == ["the.pods.token"]
        assert parse_qs(form.decode())["RoleSessionName"][0].startswith("ambassador-")


def test_chunks_that_the_app_has_signed_are_refused_with_a_sentence(start: Start) -> None:
    backend = Backend(Verifier("s3"))
    try:
        ambassador = Ambassador(start, backend.url, **{**KEYS, "AUTH_AWS_SERVICE": "s3"})
        status, _, body = ambassador.ask(put("/b/k", b"0;chunk-signature=0", "Content-Encoding: aws-chunked"))
        assert status == 501
        assert b"let it send unsigned requests" in body
    finally:
        backend.stop()


def test_seaweedfs_accepts_what_is_signed_and_refuses_what_is_not(start: Start, tmp_path: Path) -> None:
    """It checks the signatures of requests and of chunks, and is not ours."""
    environ = {
        "AUTH": "aws",
        "AUTH_USERNAME": object_store.ACCESS,
        "AUTH_PASSWORD": object_store.SECRET,
        "AUTH_AWS_SERVICE": "s3",
        "AUTH_AWS_REGION": "us-east-1",
        "RETRY_BUFFER": "8KiB",
    }
    with s3_servers.seaweedfs(tmp_path / "weed", bucket="things") as endpoint:
        ambassador = Ambassador(start, endpoint, **environ)
        large = bytes(range(256)) * 1000
        for path, body in (("/things/small", b"small"), ("/things/a%20b/l%C3%A4rge", large)):
            status, _, answer = ambassador.ask(put(path, body))
            assert status == 200, answer
            status, _, found = ambassador.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert (status, found) == (200, body)
        for query in ("list-type=2&prefix=a+b%2F", "prefix=a%20b/&list-type=2"):
            status, _, found = ambassador.ask(f"GET /things?{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert status == 200, found
            assert b"<KeyCount>1</KeyCount>" in found or found.count(b"<Key>") == 1, found
        wrong = Ambassador(start, endpoint, **{**environ, "AUTH_PASSWORD": "another secret key"})
        assert wrong.ask(b"GET /things HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 403

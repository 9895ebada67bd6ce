"""The program behind a real proxy: tinyproxy, with a user and a password, and names that it alone can look up."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme

from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ, wait_for
from tests.support import free_port, wait_until
from tests.tinyproxy import tinyproxy

NAME = "logs.receiver.test"


class TlsReceiver(Receiver):
    """The receiver, over TLS."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)


def test_lines_go_through_a_proxy_over_tls_and_the_log_says_so(tmp_path: Path, start: Start) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    receiver = TlsReceiver(context)
    try:
        with tinyproxy(tmp_path, NAME) as port:
            settings = environ(
                tmp_path,
                free_port(),
                LOGSHIPPER_SINK=f"https://{NAME}:{receiver.port}/logs",
                LOGSHIPPER_SINK_CA=f"{tmp_path}/ca.crt",
                LOGSHIPPER_REQUEST_TIMEOUT="5s",
                HTTPS_PROXY=f"http://shop:s3cretpass@127.0.0.1:{port}",
                NO_PROXY="localhost,127.0.0.0/8",
            )
            append(tmp_path / "logs" / "app.log", "one line\n")
            shipper = start("logshipper", **settings)
            wait_for(receiver, "one line")
            assert shipper.stop() == 0
    finally:
        receiver.close()
    assert f"through the proxy http://***@127.0.0.1:{port}" in shipper.stderr
    assert "s3cretpass" not in shipper.stderr
    assert f"CONNECT {NAME}:{receiver.port}" in (tmp_path / "tinyproxy.log").read_text()


def test_a_missing_password_is_told_and_the_lines_wait(tmp_path: Path, start: Start) -> None:
    receiver = Receiver()
    try:
        with tinyproxy(tmp_path, NAME) as port:
            settings = environ(
                tmp_path,
                free_port(),
                LOGSHIPPER_SINK=f"http://{NAME}:{receiver.port}/logs",
                LOGSHIPPER_SINK_PROXY=f"http://127.0.0.1:{port}",
            )
            append(tmp_path / "logs" / "app.log", "one line\n")
            shipper = start("logshipper", **settings)
            wait_until(lambda: "the proxy wants a user name and a password" in shipper.stderr, "the 407 is told")
            assert receiver.requests == []
            assert shipper.stop() == 69
            again = start("logshipper", **{**settings, "LOGSHIPPER_SINK_PROXY": f"shop:s3cretpass@127.0.0.1:{port}"})
            wait_for(receiver, "one line")
            assert again.stop() == 0
    finally:
        receiver.close()

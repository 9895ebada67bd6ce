"""The program behind a real proxy: tinyproxy, with a user and a password, and names that it alone can look up."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from tests.conftest import Start
from tests.logshipper.support import Receiver, append, environ, wait_for
from tests.support import free_port, peer, responds, wait_until

NAME = "logs.receiver.test"
TINYPROXY = """
Port {port}
Listen 127.0.0.1
Timeout 60
LogLevel Connect
MaxClients 20
Allow 127.0.0.1
BasicAuth shop s3cretpass
"""


@contextmanager
def tinyproxy(folder: Path) -> Iterator[int]:
    """Run the proxy in a mount namespace of its own, whose /etc/hosts knows the receiver."""
    port = free_port()
    (folder / "tinyproxy.conf").write_text(TINYPROXY.format(port=port))
    (folder / "hosts").write_text(f"127.0.0.1 {NAME}\n")
    own = "-m" if os.geteuid() == 0 else "-rm"
    script = 'mount --bind "$0/hosts" /etc/hosts && exec "$1" -d -c "$0/tinyproxy.conf"'
    command = [peer("unshare"), own, "sh", "-c", script, str(folder), peer("tinyproxy")]
    with (folder / "tinyproxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: responds(port) or process.poll() is not None, "tinyproxy listening")
        assert process.poll() is None, (folder / "tinyproxy.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(30)


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
        with tinyproxy(tmp_path) as port:
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
        with tinyproxy(tmp_path) as port:
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

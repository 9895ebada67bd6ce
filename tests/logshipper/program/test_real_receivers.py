"""The sinks with real receivers: rsyslog, which writes how it understood a message, and nginx, which refuses."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import trustme

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.sinks.base import BatchTooLarge, RetryLater
from tests.conftest import Start
from tests.logshipper.opened_sinks import opened, until
from tests.logshipper.rsyslog import rsyslog, understood
from tests.logshipper.support import a_batch, a_chunk, append, environ
from tests.support import free_port, peer, serving, wait_until

NGINX = """
user root; worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_max_body_size 64k; keepalive_requests 3; client_body_buffer_size 64k;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  log_format seen escape=none '$request_method $uri $http_idempotency_key $content_length';
  server {{
    listen 127.0.0.1:{port};
    location = /logs {{ access_log {folder}/seen seen; proxy_pass http://127.0.0.1:{port}/taken; }}
    location = /taken {{ return 204; }}
    location = /full {{ return 503; }}
  }}
}}
"""
NOW = 1_790_000_000_123_456_789


def batch(text: str) -> Batch:
    return a_batch(a_chunk(text.encode()), pod="shop-1", app="shop")


# -- rsyslog -------------------------------------------------------------------------------------------------------


async def test_rsyslog_understands_every_part_of_a_message(tmp_path: Path) -> None:
    with rsyslog(tmp_path) as port:
        async with opened(f"syslog+tcp://127.0.0.1:{port}") as sink:
            await sink.deliver(batch("".join(f'line {number} "quoted" \u00fc\n' for number in range(2000))))
            await until(lambda: len(understood(tmp_path)) == 2000)
    records = understood(tmp_path)
    assert [record["text"] for record in records] == [f'line {number} "quoted" \u00fc' for number in range(2000)]
    assert {(record["host"], record["app"], record["facility"]) for record in records} == {("shop-1", "shop", "user")}
    assert {record["version"] for record in records} == {"1"}
    assert records[0]["data"] == '[logshipper@32473 id="f00d-0" file="/logs/a%d.log"]'


async def test_rsyslog_takes_messages_over_tls_from_whom_it_knows(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    for name in ("localhost", "client@example.com"):
        certificate = authority.issue_cert(name)
        certificate.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.crt")
        certificate.private_key_pem.write_to_path(tmp_path / f"{name}.key")
    files = f'defaultNetstreamDriverCAFile="{tmp_path}/ca.crt" defaultNetstreamDriver="gtls"'
    files += f' defaultNetstreamDriverCertFile="{tmp_path}/localhost.crt"'
    files += f' defaultNetstreamDriverKeyFile="{tmp_path}/localhost.key"'
    driver = 'streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid"'
    ours = str(tmp_path / "client@example.com")
    with rsyslog(tmp_path, files, driver) as port:
        url, ca = f"syslog+tls://localhost:{port}", str(tmp_path / "ca.crt")
        async with opened(url, sink_ca=ca, sink_cert=f"{ours}.crt", sink_key=f"{ours}.key") as sink:
            await sink.deliver(batch("secret\n"))
            await until(lambda: len(understood(tmp_path)) == 1)
        async with opened(url) as sink:
            with pytest.raises(RetryLater, match="is not accepted"):
                await sink.deliver(batch("to a stranger\n"))
    assert [record["text"] for record in understood(tmp_path)] == ["secret"]


def test_lines_go_to_rsyslog_through_its_restart(tmp_path: Path, start: Start) -> None:
    """Run the program. rsyslog is down for a while in the middle."""
    admin = free_port()
    with rsyslog(tmp_path) as port:
        settings = environ(tmp_path, admin, LOGSHIPPER_SINK=f"syslog+tcp://127.0.0.1:{port}")
        append(tmp_path / "logs" / "app.log", "before\n")
        shipper = start("logshipper", **settings)
        wait_until(lambda: len(understood(tmp_path)) == 1, "the first line")
    append(tmp_path / "logs" / "app.log", "while it is away\n")
    shipper.wait_logged("delivery failed; it is retried")
    command = [peer("rsyslogd"), "-n", "-i", str(tmp_path / "rsyslog.pid"), "-f", str(tmp_path / f"{port}.conf")]
    again = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: len(understood(tmp_path)) >= 2, "the second line")
    finally:
        again.terminate()
        again.wait(30)
    assert [record["text"] for record in understood(tmp_path)] == ["before", "while it is away"]
    assert shipper.stop() == 0


# -- nginx ---------------------------------------------------------------------------------------------------------


async def test_nginx_takes_bodies_up_to_its_limit_and_refuses_larger_ones(tmp_path: Path) -> None:
    with serving(tmp_path, NGINX, [peer("nginx"), "-p", str(tmp_path), "-c"]) as (url, _):
        async with opened(f"{url}/logs") as sink:
            for _ in range(10):  # its connections end after three requests each
                await sink.deliver(batch("a line\n" * 100))
            with pytest.raises(BatchTooLarge):
                await sink.deliver(batch("a line\n" * 20_000))
            await sink.deliver(batch("a line\n"))
        async with opened(f"{url}/full") as sink:
            with pytest.raises(RetryLater, match="responded with 503"):
                await sink.deliver(batch("a line\n"))
        seen = (tmp_path / "seen").read_text().splitlines()
    assert [line.split()[:3] for line in seen if line.split()[2] != batch("a line\n" * 20_000).key] == [
        ["POST", "/logs", key] for key in [batch("a line\n" * 100).key] * 10 + [batch("a line\n").key]
    ]

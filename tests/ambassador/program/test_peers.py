"""The real program with real servers: nginx and HAProxy, each a process on its own port, with difficult settings.

The tests of a server that is not installed are skipped. In CI that is a failure, so that no skipped test seems passed.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.ambassador.support import Ambassador, load
from tests.conftest import Start
from tests.support import PATIENCE, peer, serving, wait_until

FILE = random.Random(7).randbytes(5_000_000)

# Connections are closed after a few requests, although the next request may be on its way.
NGINX = """
user root; worker_processes 2; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; keepalive_requests 7; client_max_body_size 1k; lingering_timeout 1s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/www;
    location = /chunked {{ gzip on; gzip_proxied any; gzip_types *; gzip_min_length 0; try_files /file =404; }}
    location = /said {{ return 200 "ok"; }}
  }}
}}
"""
# Idle connections are closed after 10 ms, so that many requests use one that is just closing.
HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
  timeout http-keep-alive 10ms
frontend app
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string ok
"""

Server = Callable[[], tuple[str, subprocess.Popen[bytes]]]


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "file").write_bytes(FILE)
    with contextlib.ExitStack() as running:
        yield lambda: running.enter_context(serving(tmp_path, NGINX, [peer("nginx"), "-p", str(tmp_path), "-c"]))


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[Server]:
    with contextlib.ExitStack() as running:
        yield lambda: running.enter_context(serving(tmp_path, HAPROXY, [peer("haproxy"), "-db", "-f"]))


def test_what_nginx_serves_arrives_unchanged_however_it_is_asked_for(start: Start, nginx: Server) -> None:
    ambassador = Ambassador(start, nginx()[0])
    with httpx.Client(base_url=ambassador.url, trust_env=False, timeout=PATIENCE) as app:
        whole = app.get("/file")
        assert hashlib.sha256(whole.content).digest() == hashlib.sha256(FILE).digest()
        zipped = app.get("/chunked", headers={"Accept-Encoding": "gzip"})
        assert zipped.headers["transfer-encoding"] == "chunked"
        assert zipped.content == FILE
        part = app.get("/file", headers={"Range": "bytes=1000-1999"})
        assert (part.status_code, part.content) == (206, FILE[1000:2000])
        head = app.head("/file")
        assert (head.headers["content-length"], head.content) == (str(len(FILE)), b"")
        unchanged = app.get("/file", headers={"If-None-Match": whole.headers["etag"]})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert app.get("/nothing").status_code == 404


def test_nginx_refuses_an_upload_before_it_is_whole_and_the_app_hears_it(start: Start, nginx: Server) -> None:
    ambassador = Ambassador(start, nginx()[0])
    with ambassador.connect() as app:
        app.send(b"PUT /file HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n" + FILE[:100_000])
        status, head, _ = app.response()
        assert status == 413
        assert b"Connection: close\r\n" in head
    assert ambassador.ask(b"GET /said HTTP/1.1\r\nHost: a\r\n\r\n")[2] == b"ok"


def test_an_nginx_that_reloads_again_and_again_is_not_noticed(start: Start, nginx: Server) -> None:
    url, process = nginx()
    ambassador = Ambassador(start, url)
    told = 0

    def reload(count: int) -> bool:
        nonlocal told
        if told < 5 and count > (told + 1) * 500:
            told += 1
            process.send_signal(signal.SIGHUP)
        return told == 5 and count > 3000

    assert load(ambassador, clients=8, until=reload, request=b"GET /said HTTP/1.1\r\nHost: a\r\n\r\n") == []


def test_one_of_two_nginx_that_is_killed_is_not_noticed(start: Start, nginx: Server) -> None:
    (one, process), (other, _) = nginx(), nginx()
    ambassador = Ambassador(start, f"{one},{other}")

    def kill(count: int) -> bool:
        if count > 500 and process.poll() is None:
            process.terminate()
        return count > 2000 and process.poll() is not None

    assert load(ambassador, clients=8, until=kill, request=b"GET /said HTTP/1.1\r\nHost: a\r\n\r\n") == []


def test_idle_connections_that_haproxy_closes_are_not_noticed(start: Start, haproxy: Server) -> None:
    ambassador = Ambassador(start, haproxy()[0], RETRIES="0")
    assert load(ambassador, clients=24, until=lambda count: count > 4000) == []
    opened = ambassador.metric("ambassador_upstream_connects_total")
    wait_until(lambda: ambassador.metric("ambassador_upstream_connections_open") == 0, "all closed by HAProxy")
    assert ambassador.ask()[0] == 200
    assert ambassador.metric("ambassador_upstream_connects_total") == opened + 1

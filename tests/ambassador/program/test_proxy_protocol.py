"""The real program before nginx and HAProxy that accept the PROXY protocol: they tell what they were told."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.ambassador.proxies import connect_proxy
from tests.ambassador.support import Ambassador, Peer
from tests.conftest import Start
from tests.support import PATIENCE, free_port, peer, serving, wait_until

NGINX = """
user root; worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
  server {{
    listen 127.0.0.1:{port} proxy_protocol;
    listen 127.0.0.1:443{tls} ssl proxy_protocol;
    listen unix:{folder}/nginx.sock proxy_protocol;
    location / {{
      return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port";
    }}
  }}
}}
"""
HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend app
  bind 127.0.0.1:{port} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"
"""


ONCE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    made.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    return made


@pytest.fixture
def nginx(tmp_path: Path, authority: trustme.CA) -> Iterator[tuple[int, int]]:
    """Run nginx; yield its port for HTTP, and the one for TLS."""
    assert authority
    tls = free_port()
    config = NGINX.replace("443{tls}", str(tls))
    with serving(tmp_path, config, [peer("nginx"), "-p", str(tmp_path), "-c"]) as (url, _):
        yield port_of(url), tls


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[int]:
    with serving(tmp_path, HAPROXY, [peer("haproxy"), "-db", "-f"]) as (url, _):
        yield port_of(url)


def told(own: socket.socket) -> tuple[str, str]:
    """Return what the server was told of this connection of an app, and what it should be told."""
    here, there = own.getsockname(), own.getpeername()
    with Peer(own) as app:
        app.send(ONCE)
        return app.rest().partition(b"\r\n\r\n")[2].decode(), f"{here[0]} {here[1]} {there[0]} {there[1]}"


def test_real_servers_are_told_the_apps_address_of_each_tunnel(
    start: Start, tmp_path: Path, nginx: tuple[int, int], haproxy: int
) -> None:
    plain, tls = nginx
    ports = {name: free_port() for name in ("nginx", "tls", "haproxy", "unix", "proxied", "pooled")}
    listen = {f"{name.upper()}_LISTEN": f"localhost:{port}" for name, port in ports.items()}
    with connect_proxy({f"orders.test:{haproxy}": haproxy}) as proxy:
        ambassador = Ambassador(
            start,
            "",
            NGINX_UPSTREAM=f"tcp://127.0.0.1:{plain}",
            TLS_UPSTREAM=f"tls://localhost:{tls}",
            TLS_CA=str(tmp_path / "ca.pem"),
            HAPROXY_UPSTREAM=f"tcp://127.0.0.1:{haproxy}",
            UNIX_UPSTREAM=f"tcp+unix://{tmp_path}/nginx.sock",
            PROXIED_UPSTREAM=f"tcp://orders.test:{haproxy}",
            PROXIED_PROXY=f"http://127.0.0.1:{proxy.port}",
            POOLED_UPSTREAM=f"http://127.0.0.1:{plain}",
            POOLED_HEALTH_PATH="/",
            SOCKET_UPSTREAM=f"tcp://127.0.0.1:{haproxy}",
            SOCKET_LISTEN=f"unix:{tmp_path}/app.sock",
            **listen,
            SEND_PROXY="v2",
            HEALTH_INTERVAL="100ms",
            CONFINEMENT="required",
        )
        for name in ("nginx", "tls", "haproxy", "unix", "proxied"):
            for host in ("127.0.0.1", "::1"):
                seen, expected = told(socket.create_connection((host, ports[name]), PATIENCE))
                assert seen == expected, name
        seen, _ = told(socket.create_connection(("127.0.0.1", ports["pooled"]), PATIENCE))
        assert seen == "   ", "many clients share the connection: nginx is told that it is nobody's"
        own = socket.socket(socket.AF_UNIX)
        own.connect(str(tmp_path / "app.sock"))
        with Peer(own) as app:
            app.send(ONCE)
            assert b"\r\n\r\n127.0.0.1 " in app.rest(), "this app has no address: HAProxy uses the one that it sees"
        healthy = dict.fromkeys(ports, "healthy")
        wait_until(lambda: {name: ambassador.endpoints(name)[0]["health"] for name in ports} == healthy, "checks")
    with contextlib.suppress(FileNotFoundError):
        assert "PROXY" not in (tmp_path / "error.log").read_text()

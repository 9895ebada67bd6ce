"""The real program behind HTTP proxies, confined: every protocol, TLS within TLS, and proxies that misbehave."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.ambassador.http2.core_peer import Shell
from tests.ambassador.nameserver import NameServer, name_server
from tests.ambassador.proxies import connect_proxy
from tests.ambassador.support import GET, Ambassador, Backend, Peer, answering, backends
from tests.conftest import Start
from tests.support import PATIENCE, free_port, wait_until
from tests.tinyproxy import tinyproxy

NAME = "orders.behind.test"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"


class Authority:
    """An authority whose certificate is in a file."""

    def __init__(self, folder: Path, name: str) -> None:
        self._made = trustme.CA()
        self.file = str(folder / f"{name}.pem")
        self._made.cert_pem.write_to_path(self.file)

    def server(self, name: str, *alpn: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(list(alpn))
        self._made.issue_cert(name).configure_cert(context)
        return context


def answer_in_http2(peer: Peer) -> None:
    """Speak first, as servers of gRPC do: SETTINGS come before the client has sent anything."""
    Shell(peer.socket, is_client=False).run()


def greet(peer: Peer) -> None:
    peer.send(b"220 I speak first\r\n")
    peer.send(peer.exactly(300_000)[::-1])
    peer.rest()


def connected(port: int) -> Peer:
    return Peer(socket.create_connection(("127.0.0.1", port), PATIENCE))


def ask(port: int) -> tuple[int, bytes]:
    with connected(port) as peer:
        peer.send(GET)
        return peer.response()[::2]


def talk(port: int) -> bytes:
    with connected(port) as peer:
        assert peer.until(b"\n") == b"220 I speak first\r\n"
        peer.send(b"abc" * 100_000)
        return peer.exactly(300_000)


@pytest.fixture
def zone() -> Iterator[NameServer]:
    with name_server() as server:
        yield server


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[dict[str, Backend]]:
    """Servers of each protocol, which their schemes name. Those with TLS have a certificate of `ca.pem`."""
    authority = Authority(tmp_path, "ca")
    running = {
        "http": Backend(answering(b"plain")),
        "h2c": Backend(answer_in_http2),
        "tcp": Backend(greet),
        "https": Backend(answer_in_http2, tls=authority.server(NAME, "h2")),
    }
    yield running
    for each in running.values():
        each.stop()


def upstreams(servers: dict[str, Backend]) -> tuple[dict[str, str], dict[str, int]]:
    """Return the settings of an upstream for each server, by the name that it alone has, and their ports."""
    ports = {scheme: free_port() for scheme in servers}
    found = {}
    for scheme, port in ports.items():
        found[f"{scheme.upper()}_UPSTREAM"] = f"{scheme}://{NAME}:{servers[scheme].port}"
        found[f"{scheme.upper()}_LISTEN"] = f"127.0.0.1:{port}"
    return found, ports


def test_every_protocol_goes_through_a_real_proxy_to_a_name_that_it_alone_knows(
    start: Start, tmp_path: Path, servers: dict[str, Backend], zone: NameServer
) -> None:
    (tmp_path / "password").write_text("s3cretpass\n")
    more, ports = upstreams(servers)
    with tinyproxy(tmp_path, NAME) as port:
        ambassador = Ambassador(
            start,
            "",
            **more,
            PROXY=f"http://shop@127.0.0.1:{port}",
            PROXY_PASSWORD_FILE=str(tmp_path / "password"),
            RESOLV_CONF=str(zone.resolv_conf(tmp_path)),
            HEALTH_INTERVAL="100ms",
            TLS_CA=str(tmp_path / "ca.pem"),
            CONFINEMENT="required",
        )
        assert ask(ports["http"]) == (200, b"plain")
        assert [ask(ports["h2c"])[0], ask(ports["https"])[0]] == [200, 200]
        assert talk(ports["tcp"]) == b"cba" * 100_000
        (endpoint,) = ambassador.endpoints("http")
        assert endpoint["address"] == f"{NAME}:{servers['http'].port}"
        wait_until(lambda: ambassador.endpoints("http")[0]["health"] == "healthy", "a check through the proxy")

        (tmp_path / "password").write_text("another\n")
        told = "wants another user name and password (40"
        wait_until(lambda: told in ambassador.endpoints("http")[0]["check_error"], "a check with the new password")
    assert not zone.asked
    ambassador.program.stop()
    assert "s3cretpass" not in ambassador.program.stderr


def test_tls_goes_to_the_proxy_and_within_it_to_the_server(
    start: Start, tmp_path: Path, servers: dict[str, Backend], zone: NameServer
) -> None:
    proxies = Authority(tmp_path, "proxy")
    more, ports = upstreams(servers)
    hosts = {f"{NAME}:{each.port}": each.port for each in servers.values()}
    zone.set_records("proxy.test", "127.0.0.1")
    with connect_proxy(hosts, proxies.server("proxy.test")) as proxy:
        Ambassador(
            start,
            "",
            **more,
            PROXY=f"https://shop:s3cretpass@proxy.test:{proxy.port}",
            PROXY_CA=proxies.file,
            NO_PROXY="other.test, 10.0.0.0/8",
            RESOLV_CONF=str(zone.resolv_conf(tmp_path)),
            TLS_CA=str(tmp_path / "ca.pem"),
            CONFINEMENT="required",
        )
        assert ask(ports["http"]) == (200, b"plain")
        assert [ask(ports["h2c"])[0], ask(ports["https"])[0]] == [200, 200]
        assert talk(ports["tcp"]) == b"cba" * 100_000
        place = f"{NAME}:{servers['http'].port}".encode()
        assert proxy.requests[0] == (
            b"CONNECT %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: ambassador\r\n"
            b"Proxy-Authorization: Basic c2hvcDpzM2NyZXRwYXNz\r\n\r\n" % (place, place)
        )
        zone.failing.add("proxy.test")
        wait_until(lambda: zone.asked["proxy.test", "A"] > 3, "look-ups that fail")
        assert ask(ports["https"])[0] == 200
    assert {name for name, _ in zone.asked} == {"proxy.test"}


ANSWERS = {
    b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n": (
        502,
        b"proxy_configuration_error",
        b"wants another user name and password (407)",
    ),
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nEvil\n": (
        502,
        b"destination_ip_prohibited",
        b"responded with 403",
    ),
    b"HTTP/1.0 502 Bad Gateway\r\n\r\n<html>": (502, b"destination_unavailable", b"responded with 502"),
    b"\x15\x03\x01\x00\x02\x02\x50": (502, b"http_protocol_error", b"does not respond in HTTP/1.1"),
    b"HTTP/1.1 103 Early Hints\r\n\r\n" * 40: (502, b"http_protocol_error", b"does not respond in HTTP/1.1"),
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000: (
        502,
        b"http_response_header_section_size",
        b"responds with a head of more than 16384 bytes",
    ),
    b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n": (
        502,
        b"http_protocol_error",
        b"sent more than its response",
    ),
    b"HTTP/1.1 200 OK\r\n": (502, b"connection_terminated", b"closed the connection without a response"),
    b"": (504, b"connection_timeout", b"made no connection in time"),
}


def test_a_proxy_that_refuses_or_misbehaves_is_named_with_the_cause_and_costs_no_request(start: Start) -> None:
    with connect_proxy({}) as proxy, backends(answering(b"direct")) as (backend,):
        alone, own = free_port(), free_port()
        ambassador = Ambassador(
            start,
            "",
            ONE_UPSTREAM=f"http://{NAME}:8080",
            ONE_LISTEN=f"127.0.0.1:{alone}",
            PROXY=f"http://127.0.0.1:{proxy.port}",
            CONNECT_TIMEOUT="2s",
            RETRIES="0",
            # Loopback is never behind a proxy.
            BOTH_UPSTREAM=f"http://{NAME}:8080,http://127.0.0.1:{backend.port}",
            BOTH_LISTEN=f"127.0.0.1:{own}",
            BOTH_RETRIES="1",
            CONFINEMENT="required",
        )
        for answer, (expected, error, text) in ANSWERS.items():
            proxy.answer = answer
            with connected(alone) as peer:
                peer.send(POST)
                status, head, body = peer.response()
            assert (status, b"Proxy-Status: ambassador; error=%b;" % error in head) == (expected, True), (answer, head)
            assert b"attempt 1: %b:8080: the proxy 127.0.0.1:%d %b" % (NAME.encode(), proxy.port, text) in body
            assert b"Evil" not in body
        for _ in range(4):  # also those that are tried at the proxy first
            with connected(own) as peer:
                peer.send(POST)
                assert peer.response()[::2] == (200, b"direct")
        assert backend.connections > 0

        with ambassador.holding_no_more(attempts=5):
            proxy.answer = b""
            for _ in range(5):
                with connected(alone) as peer:
                    peer.send(POST)  # and leaves
        wait_until(lambda: ambassador.metric("ambassador_upstream_connections_open", upstream="one") == 0, "none")


def test_a_proxy_that_cannot_be_found_or_trusted_is_told_nothing(
    start: Start, tmp_path: Path, zone: NameServer
) -> None:
    zone.failing.add("proxy.test")
    proxies = Authority(tmp_path, "proxy")
    ports = {"lost": free_port(), "other": free_port()}
    with connect_proxy({}, proxies.server("other.test")) as proxy:
        Ambassador(
            start,
            "",
            LOST_UPSTREAM=f"http://{NAME}",
            LOST_LISTEN=f"127.0.0.1:{ports['lost']}",
            LOST_PROXY="http://proxy.test:3128",
            LOST_NO_PROXY=f"direct.test,.{NAME}",
            OTHER_UPSTREAM=f"http://{NAME}",
            OTHER_LISTEN=f"127.0.0.1:{ports['other']}",
            OTHER_PROXY=f"https://127.0.0.1:{proxy.port}",
            OTHER_PROXY_CA=proxies.file,
            RESOLV_CONF=str(zone.resolv_conf(tmp_path)),
            RETRIES="0",
        )
        status, body = ask(ports["lost"])
        assert (status, b"the proxy proxy.test cannot be looked up: " in body) == (503, True)
        status, body = ask(ports["other"])
        assert (status, proxy.requests) == (502, [])
        assert b"the proxy 127.0.0.1:%d: the certificate is not accepted" % proxy.port in body

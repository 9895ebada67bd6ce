"""The contract about removed addresses: the real program, a real name server, replicas on several addresses.

Only the name server changes the address of a name, never traffic: while a test waits, it sends no request.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dns.rcode
import httpx
import pytest

from tests.ambassador.nameserver import NameServer, name_server
from tests.ambassador.support import Ambassador, Backend, Handler, Peer, answering
from tests.conftest import Start
from tests.support import free_port, get, wait_until

NAME = "orders.example"


@pytest.fixture
def zone() -> Iterator[NameServer]:
    with name_server() as server:
        yield server


@contextlib.contextmanager
def replicas(*handlers: Handler) -> Iterator[list[Backend]]:
    """Run a replica on 127.0.0.2, the next on 127.0.0.3 and so on, all on one port."""
    port = free_port()
    running = [Backend(handler, port, host=f"127.0.0.{number}") for number, handler in enumerate(handlers, 2)]
    try:
        yield running
    finally:
        for backend in running:
            backend.stop()


@pytest.fixture
def ambassador(start: Start, zone: NameServer, tmp_path: Path) -> Callable[..., Ambassador]:
    def begin(upstream: str, **environ: str) -> Ambassador:
        return Ambassador(start, upstream, RESOLV_CONF=str(zone.resolv_conf(tmp_path)), **environ)

    return begin


def target(ambassador: Ambassador) -> dict[str, Any]:
    page = get(f"http://127.0.0.1:{ambassador.admin}/status").json()
    found: dict[str, Any] = page["upstreams"]["default"]["targets"][0]
    return found


def addresses(ambassador: Ambassador) -> list[str]:
    return [each["address"].partition(":")[0] for each in target(ambassador)["endpoints"]]


def test_an_address_that_is_gone_is_left_when_its_ttl_is_over_without_any_traffic(
    zone: NameServer, ambassador: Callable[..., Ambassador]
) -> None:
    with replicas(answering(b"old"), answering(b"new")) as (old, _):
        zone.set_records(NAME, "127.0.0.2", ttl=1)
        made = ambassador(f"http://{NAME}:{old.port}")
        assert made.ask()[2] == b"old"
        assert made.metric("ambassador_upstream_connections_idle") == 1
        assert made.metric("ambassador_endpoint_requests_total", endpoint=f"127.0.0.2:{old.port}") == 1
        zone.set_records(NAME, "127.0.0.3", ttl=1)
        wait_until(lambda: made.metric("ambassador_upstream_connections_idle") == 0, "no connection to the old address")
        assert addresses(made) == ["127.0.0.3"]
        assert made.metric("ambassador_endpoint_requests_total", endpoint=f"127.0.0.2:{old.port}") == 0
        assert {made.ask()[2] for _ in range(5)} == {b"new"}
        assert made.program.wait_logged("endpoints changed")


def test_an_answer_is_asked_for_again_when_its_ttl_is_over_or_the_longest_time_that_is_set(
    zone: NameServer, ambassador: Callable[..., Ambassador]
) -> None:
    with replicas(answering()) as (backend,):
        zone.set_records(NAME, "127.0.0.2", ttl=3600)
        made = ambassador(f"http://{NAME}:{backend.port}", DNS_MAX_TTL="200ms", DNS_MIN_TTL="100ms")
        assert target(made)["dns_holds_seconds"] == 0.2
        wait_until(lambda: zone.asked[NAME, "A"] >= 4, "four questions")
        kept = ambassador(f"http://{NAME}:{backend.port}", DNS_MAX_TTL="24h")
        assert target(kept)["dns_holds_seconds"] == 3600.0


def test_whatever_dns_does_the_last_good_addresses_hold(
    zone: NameServer, ambassador: Callable[..., Ambassador]
) -> None:
    def fail(failure: dns.rcode.Rcode) -> None:
        zone.failure = failure

    with replicas(answering()) as (backend,):
        zone.set_records(NAME, "127.0.0.2", ttl=0)
        made = ambassador(f"http://{NAME}:{backend.port}", DNS_MIN_TTL="100ms")
        breaks: list[tuple[Callable[[], None], str]] = [
            (lambda: fail(dns.rcode.SERVFAIL), "SERVFAIL"),
            (lambda: fail(dns.rcode.REFUSED), "REFUSED"),
            (lambda: fail(dns.rcode.NXDOMAIN), "NXDOMAIN"),
            (lambda: fail(dns.rcode.NOERROR), "the name has no addresses"),
            (zone.close, "name server"),
        ]
        for break_it, said in breaks:
            break_it()
            wait_until(lambda said=said: said in target(made)["dns_error"], f"DNS that fails with {said}")  # type: ignore[misc] # mypy knows no defaults of lambdas
            assert made.ask()[0] == 200
            assert addresses(made) == ["127.0.0.2"]
        assert made.metric("ambassador_upstream_dns_age_seconds") > 0
        assert get(f"http://127.0.0.1:{made.admin}/readyz").is_success


def test_it_is_ready_when_every_upstream_has_an_address(start: Start, zone: NameServer, tmp_path: Path) -> None:
    admin = free_port()
    with replicas(answering()) as (backend,):
        program = start(
            "ambassador",
            AMBASSADOR_ADMIN_LISTEN=f"127.0.0.1:{admin}",
            AMBASSADOR_ORDERS_UPSTREAM=f"http://{NAME}:{backend.port}",
            AMBASSADOR_ORDERS_LISTEN=f"127.0.0.1:{free_port()}",
            AMBASSADOR_DB_UPSTREAM=f"tcp://127.0.0.2:{backend.port}",
            AMBASSADOR_DB_LISTEN=f"127.0.0.1:{free_port()}",
            AMBASSADOR_RESOLV_CONF=str(zone.resolv_conf(tmp_path)),
        )

        def readiness() -> str:
            with contextlib.suppress(httpx.TransportError):
                return get(f"http://127.0.0.1:{admin}/readyz").text
            return ""

        wait_until(lambda: "NXDOMAIN" in readiness(), "a look-up that fails")
        assert readiness() == (
            "not ready: upstream orders: it has no address yet: orders.example: the name does not exist (NXDOMAIN)\n"
        )
        zone.set_records(NAME, "127.0.0.2")
        wait_until(lambda: readiness() == "ready\n", "readiness")
        assert program.process.poll() is None


def test_a_response_under_way_is_finished_although_its_address_is_gone(
    zone: NameServer, ambassador: Callable[..., Ambassador]
) -> None:
    go = threading.Event()

    def slow(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        go.wait(30)
        peer.send(b"later")
        peer.rest()

    with replicas(slow, answering(b"new")) as (old, _):
        zone.set_records(NAME, "127.0.0.2", ttl=1)
        made = ambassador(f"http://{NAME}:{old.port}", DNS_MIN_TTL="100ms")
        with made.connect() as app:
            app.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            app.until(b"first")
            zone.set_records(NAME, "127.0.0.3", ttl=1)
            wait_until(lambda: addresses(made) == ["127.0.0.3"], "the new address")
            (leaving,) = target(made)["leaving"]
            assert (leaving["address"], leaving["connections"]) == (f"127.0.0.2:{old.port}", 1)
            go.set()
            assert app.exactly(5) == b"later"
        wait_until(lambda: not target(made)["leaving"], "the old address forgotten")
        assert made.metric("ambassador_upstream_connections_open") == 0


def test_a_tunnel_to_an_address_that_is_gone_ends_after_the_drain_timeout(
    zone: NameServer, ambassador: Callable[..., Ambassador]
) -> None:
    def echo(peer: Peer) -> None:
        while data := peer.socket.recv(100):
            peer.send(data)

    with replicas(echo, answering()) as (old, _):
        zone.set_records(NAME, "127.0.0.2", ttl=1)
        made = ambassador(f"tcp://{NAME}:{old.port}", DRAIN_TIMEOUT="3s")
        with made.connect() as app:
            app.send(b"hello")
            assert app.exactly(5) == b"hello"
            zone.set_records(NAME, "127.0.0.3", ttl=1)
            wait_until(lambda: addresses(made) == ["127.0.0.3"], "the new address")
            app.send(b"still")
            assert app.exactly(5) == b"still"
            with pytest.raises(ConnectionResetError):
                app.rest()
        wait_until(lambda: not target(made)["leaving"], "the old address forgotten")


def test_an_address_that_comes_back_keeps_its_tunnels(zone: NameServer, ambassador: Callable[..., Ambassador]) -> None:
    def hello(peer: Peer) -> None:
        peer.send(b"hello")
        peer.rest()

    with replicas(hello, hello) as (one, _):
        zone.set_records(NAME, "127.0.0.2", ttl=1)
        made = ambassador(f"tcp://{NAME}:{one.port}", DNS_MIN_TTL="100ms")
        with made.connect() as app:
            assert app.exactly(5) == b"hello"
            zone.set_records(NAME, "127.0.0.3", ttl=1)
            wait_until(lambda: addresses(made) == ["127.0.0.3"], "one address")
            zone.set_records(NAME, "127.0.0.2", "127.0.0.3", ttl=1)
            wait_until(lambda: addresses(made) == ["127.0.0.3", "127.0.0.2"], "both addresses")
            (back,) = [each for each in target(made)["endpoints"] if each["address"].startswith("127.0.0.2:")]
            assert back["connections"] == 1
            assert not target(made)["leaving"]


def test_srv_records_name_ports_weights_and_a_second_choice(
    zone: NameServer, ambassador: Callable[..., Ambassador]
) -> None:
    seen: list[bytes] = []
    with contextlib.ExitStack() as stack:
        light, heavy, spare = (Backend(answering(body, seen=seen)) for body in (b"light", b"heavy", b"spare"))
        for backend in (light, heavy, spare):
            stack.callback(backend.stop)
        for host in ("light", "heavy", "spare"):
            zone.set_records(f"{host}.example", "127.0.0.1")
        service = "_http._tcp.orders.example"
        zone.set_records(
            service,
            f"1 1 {light.port} light.example.", f"1 3 {heavy.port} heavy.example.", f"2 0 {spare.port} spare.example.",
            kind="SRV",
        )  # fmt: skip
        made = ambassador(f"http+srv://{service}", BALANCE="round_robin")
        bodies = [made.ask()[2] for _ in range(40)]
        assert (bodies.count(b"light"), bodies.count(b"heavy"), bodies.count(b"spare")) == (10, 30, 0)
        assert any(b"\r\nHost: heavy.example:%d\r\n" % heavy.port in head for head in seen)
        light.stop()
        heavy.stop()
        assert {made.ask()[2] for _ in range(5)} == {b"spare"}


def test_a_name_with_ipv6_and_ipv4_addresses_means_both(
    zone: NameServer, ambassador: Callable[..., Ambassador]
) -> None:
    with socket.socket(socket.AF_INET6) as six, replicas(answering(b"four")) as (four,):
        six.bind(("::1", four.port))
        six.listen()
        zone.set_records(NAME, "127.0.0.2")
        zone.set_records(NAME, "::1", kind="AAAA")
        made = ambassador(f"http://{NAME}:{four.port}")
        assert sorted(each["address"] for each in target(made)["endpoints"]) == [
            f"127.0.0.2:{four.port}",
            f"[::1]:{four.port}",
        ]

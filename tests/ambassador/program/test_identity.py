"""The name that an upstream's certificate must have: the configured one, whatever name servers say."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from tests.ambassador.nameserver import NameServer, name_server
from tests.ambassador.support import Ambassador, Backend, answering, saying
from tests.certificates import named_by_cn_only
from tests.conftest import Start

SERVICE = "_http._tcp.orders.test"
NO_MATCH = b"the certificate is not accepted: Hostname mismatch"


class Replica:
    """A replica behind TLS, with a certificate of the trusted authority for one name. `asked`: the names in SNI."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.asked: list[str | None] = []
        self.seen: list[bytes] = []
        context.sni_callback = lambda _socket, name, _context: self.asked.append(name)
        self.backend = Backend(answering(seen=self.seen), tls=context)


class World:
    """A name server that lies, an authority that everybody gets certificates from, and the replicas of a test."""

    def __init__(self, folder: Path, zone: NameServer, start: Start) -> None:
        self.folder, self.zone, self.start = folder, zone, start
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(folder / "ca.pem")
        self.replicas: list[Replica] = []

    def replica(self, name: str) -> Replica:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(context)
        return self.add(context)

    def add(self, context: ssl.SSLContext) -> Replica:
        self.replicas.append(Replica(context))
        return self.replicas[-1]

    def ambassador(self, upstream: str, **environ: str) -> Ambassador:
        settings = {
            "RESOLV_CONF": str(self.zone.resolv_conf(self.folder)),
            "TLS_CA": str(self.folder / "ca.pem"),
            "RETRIES": "0",
            **environ,
        }
        return Ambassador(self.start, upstream, **settings)


@pytest.fixture
def world(tmp_path: Path, start: Start) -> Iterator[World]:
    with name_server() as zone:
        made = World(tmp_path, zone, start)
        yield made
        for replica in made.replicas:
            replica.backend.stop()


def behind_srv(world: World, replica: Replica, host: str) -> None:
    world.zone.set_records(SERVICE, f"1 1 {replica.backend.port} {host}.", kind="SRV")
    world.zone.set_records(host, "127.0.0.1")


def test_a_name_server_cannot_choose_the_name_of_the_certificate_by_an_srv_record(world: World) -> None:
    evil = world.replica("evil.test")
    behind_srv(world, evil, "evil.test")
    status, head, body = world.ambassador(f"https+srv://{SERVICE}").ask()
    assert (status, evil.seen) == (502, [])
    assert b"error=tls_certificate_error" in head
    assert NO_MATCH in body
    assert evil.asked == ["orders.test"]


def test_behind_srv_records_the_certificate_and_the_host_have_the_name_of_the_service(world: World) -> None:
    replica = world.replica("orders.test")
    behind_srv(world, replica, "node-7.test")
    assert world.ambassador(f"https+srv://{SERVICE}").ask()[0] == 200
    assert replica.asked == ["orders.test"]
    assert b"\r\nHost: orders.test\r\n" in replica.seen[0]


def test_another_name_for_the_certificate_is_one_of_the_settings(world: World) -> None:
    replica = world.replica("shop.test")
    behind_srv(world, replica, "node-7.test")
    assert world.ambassador(f"https+srv://{SERVICE}", TLS_SERVER_NAME="shop.test").ask()[0] == 200
    assert replica.asked == ["shop.test"]


def by_cname(zone: NameServer) -> None:
    zone.set_records("orders.test", "evil.test.", kind="CNAME")
    zone.set_records("evil.test", "127.0.0.1")


def by_its_address(zone: NameServer) -> None:
    zone.set_records("orders.test", "127.0.0.1")


@pytest.mark.parametrize("lie", [by_cname, by_its_address])
def test_neither_an_alias_nor_an_address_changes_the_name_of_the_certificate(
    world: World, lie: Callable[[NameServer], None]
) -> None:
    evil = world.replica("evil.test")
    lie(world.zone)
    status, _, body = world.ambassador(f"https://orders.test:{evil.backend.port}").ask()
    assert (status, evil.seen, evil.asked) == (502, [], ["orders.test"])
    assert NO_MATCH in body


def test_an_alias_leads_to_a_replica_that_has_the_configured_name(world: World) -> None:
    replica = world.replica("orders.test")
    by_cname(world.zone)
    assert world.ambassador(f"https://orders.test:{replica.backend.port}").ask()[0] == 200


def test_the_cn_of_a_certificate_is_no_name(world: World) -> None:
    replica = world.add(named_by_cn_only(world.authority, "orders.test", world.folder))
    by_its_address(world.zone)
    status, _, body = world.ambassador(f"https://orders.test:{replica.backend.port}").ask()
    assert (status, replica.seen) == (502, [])
    assert NO_MATCH in body


def test_a_redirect_is_the_apps_to_follow_and_no_token_goes_with_it(world: World) -> None:
    """The ambassador asks no other place than its upstreams, and the app never learns the token."""
    elsewhere = Backend(answering())
    location = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: %b/\r\nContent-Length: 0\r\n\r\n"
    upstream = Backend(saying(location % elsewhere.url.encode()))
    made = Ambassador(world.start, upstream.url, TOKEN="t0ken", HEALTH_PATH="/health", HEALTH_INTERVAL="100ms")
    status, head, body = made.ask()
    upstream.stop()
    elsewhere.stop()
    assert status == 307
    assert b"t0ken" not in head + body
    assert elsewhere.connections == 0

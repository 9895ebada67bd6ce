"""Look-ups through c-ares against a real, small name server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import dns.rcode
import pytest

from sidecars.ambassador.discovery.cares_resolver import CaresResolver
from sidecars.ambassador.discovery.dns_target import DnsAnswer, LookupFailed, ResolvedAddress
from tests.ambassador.nameserver import NameServer, name_server
from tests.hostile_files import NO_SMALL_FILES, unblocked
from tests.support import free_port


@pytest.fixture
def dns_server() -> Iterator[NameServer]:
    with name_server() as server:
        yield server


@pytest.fixture
def resolver(dns_server: NameServer, tmp_path: Path) -> CaresResolver:
    return CaresResolver(dns_server.resolv_conf(tmp_path, "search shop.local local"))


def addresses(answer: DnsAnswer) -> list[str]:
    return sorted(found.ip for found in answer.addresses)


async def test_a_name_means_all_its_addresses_for_the_shortest_ttl(
    dns_server: NameServer, resolver: CaresResolver
) -> None:
    dns_server.set_records("orders.example", "10.0.0.1", "10.0.0.2", ttl=30)
    dns_server.set_records("orders.example", "::1", kind="AAAA", ttl=7)
    answer = await resolver.lookup("orders.example")
    assert addresses(answer) == ["10.0.0.1", "10.0.0.2", "::1"]
    assert answer.ttl == 7.0


async def test_a_name_keeps_its_addresses_of_a_family_for_which_only_the_question_fails(
    dns_server: NameServer, resolver: CaresResolver
) -> None:
    dns_server.set_records("orders.example", "10.0.0.1")
    dns_server.set_records("orders.example", "::1", kind="AAAA")
    assert addresses(await resolver.lookup("orders.example")) == ["10.0.0.1", "::1"]
    dns_server.failing.add(("orders.example", "AAAA"))
    assert addresses(await resolver.lookup("orders.example")) == ["10.0.0.1", "::1"]
    dns_server.failing = {("orders.example", "A")}
    assert addresses(await resolver.lookup("orders.example")) == ["10.0.0.1", "::1"]
    dns_server.failing.clear()
    dns_server.set_records("orders.example", kind="AAAA")
    assert addresses(await resolver.lookup("orders.example")) == ["10.0.0.1"]


async def test_every_look_up_asks_the_name_server(dns_server: NameServer, resolver: CaresResolver) -> None:
    dns_server.set_records("orders.example", "10.0.0.1", ttl=3600)
    await resolver.lookup("orders.example")
    dns_server.set_records("orders.example", "10.0.0.2", ttl=3600)
    assert addresses(await resolver.lookup("orders.example")) == ["10.0.0.2"]


async def test_search_domains_are_tried_in_their_order(dns_server: NameServer, resolver: CaresResolver) -> None:
    dns_server.set_records("orders.local", "10.0.0.9")
    assert addresses(await resolver.lookup("orders")) == ["10.0.0.9"]
    dns_server.set_records("orders.shop.local", "10.0.0.1")
    assert addresses(await resolver.lookup("orders")) == ["10.0.0.1"]


async def test_a_name_with_fewer_dots_than_ndots_is_searched_first(dns_server: NameServer, tmp_path: Path) -> None:
    resolver = CaresResolver(dns_server.resolv_conf(tmp_path, "search cluster.local", "options ndots:5"))
    dns_server.set_records("orders.shop.svc", "10.0.0.9")
    dns_server.set_records("orders.shop.svc.cluster.local", "10.0.0.1")
    assert addresses(await resolver.lookup("orders.shop.svc")) == ["10.0.0.1"]


async def test_a_truncated_answer_is_asked_for_again_over_tcp(dns_server: NameServer, resolver: CaresResolver) -> None:
    many = [f"10.0.{number // 250}.{number % 250 + 1}" for number in range(500)]
    dns_server.set_records("orders.example", *many)
    dns_server.truncated = True
    assert addresses(await resolver.lookup("orders.example")) == sorted(many)
    assert dns_server.over_tcp >= 1


async def test_many_addresses_fit_into_one_datagram(dns_server: NameServer, resolver: CaresResolver) -> None:
    many = [f"10.0.0.{number}" for number in range(1, 61)]
    dns_server.set_records("orders.example", *many)
    assert addresses(await resolver.lookup("orders.example")) == sorted(many)
    assert dns_server.over_tcp == 0


async def test_a_name_server_that_knows_nothing_of_edns_is_asked_without(
    dns_server: NameServer, resolver: CaresResolver
) -> None:
    dns_server.old = True
    dns_server.set_records("orders.example", "10.0.0.1")
    assert addresses(await resolver.lookup("orders.example")) == ["10.0.0.1"]


async def test_the_next_name_server_is_asked_when_the_first_is_not_there(
    dns_server: NameServer, tmp_path: Path
) -> None:
    dns_server.set_records("orders.example", "10.0.0.1")
    dead = free_port()
    resolver = CaresResolver(dns_server.resolv_conf(tmp_path, f"nameserver 127.0.0.1:{dead}"))
    assert addresses(await resolver.lookup("orders.example")) == ["10.0.0.1"]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (dns.rcode.SERVFAIL, "SERVFAIL"),
        (dns.rcode.REFUSED, "REFUSED"),
        (dns.rcode.NXDOMAIN, "NXDOMAIN"),
        (dns.rcode.NOERROR, "the name has no addresses"),
    ],
)
async def test_failures_are_told_apart(
    dns_server: NameServer, resolver: CaresResolver, failure: dns.rcode.Rcode, said: str
) -> None:
    dns_server.failure = failure
    with pytest.raises(LookupFailed, match=said) as caught:
        await resolver.lookup("orders.example.")
    assert caught.value.definite == (failure in (dns.rcode.NXDOMAIN, dns.rcode.NOERROR))


async def test_a_silent_name_server_is_given_up(dns_server: NameServer, resolver: CaresResolver) -> None:
    dns_server.silent = True
    with pytest.raises(LookupFailed, match="no name server answered in time"):
        await resolver.lookup("orders.example.")


async def test_garbage_is_no_answer(dns_server: NameServer, resolver: CaresResolver) -> None:
    dns_server.set_records("orders.example", "10.0.0.1")
    dns_server.garbled = True
    outcomes = await asyncio.gather(*(resolver.lookup("orders.example.") for _ in range(20)), return_exceptions=True)
    assert all(isinstance(outcome, LookupFailed) for outcome in outcomes)
    dns_server.garbled = False
    assert addresses(await resolver.lookup("orders.example.")) == ["10.0.0.1"]


async def test_no_name_server_at_all_is_said(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(f"nameserver 127.0.0.1:{free_port()}\n")
    with pytest.raises(LookupFailed, match="no name server"):
        await CaresResolver(file).lookup("orders.example.")


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "x" * 300, "..", "-"])
async def test_what_can_be_no_name_has_no_addresses(resolver: CaresResolver, name: str) -> None:
    with pytest.raises(LookupFailed):
        await resolver.lookup(name)


async def test_the_hosts_file_is_known(resolver: CaresResolver) -> None:
    answer = await resolver.lookup("localhost")
    assert "127.0.0.1" in addresses(answer)


# -- SRV ------------------------------------------------------------------------------------------------------------


async def test_srv_records_are_followed_to_the_addresses_of_their_hosts(
    dns_server: NameServer, resolver: CaresResolver
) -> None:
    dns_server.set_records(
        "_http._tcp.orders.example", "10 3 8080 a.example.", "10 1 8081 b.example.", "20 0 80 c.example.",
        kind="SRV", ttl=60,
    )  # fmt: skip
    dns_server.set_records("a.example", "10.0.0.1", ttl=9)
    dns_server.set_records("b.example", "10.0.0.2", ttl=20)
    dns_server.set_records("c.example", "10.0.0.3", ttl=20)
    answer = await resolver.lookup_srv("_http._tcp.orders.example")
    assert answer.ttl == 9.0
    assert not [name for name, _ in dns_server.asked if name.endswith("example.shop.local")]
    assert sorted(answer.addresses, key=lambda found: found.ip) == [
        ResolvedAddress("10.0.0.1", 8080, "a.example", 1.5, 10),
        ResolvedAddress("10.0.0.2", 8081, "b.example", 0.5, 10),
        ResolvedAddress("10.0.0.3", 80, "c.example", 1.0, 20),
    ]


async def test_srv_names_are_searched_too(dns_server: NameServer, resolver: CaresResolver) -> None:
    dns_server.set_records("_http._tcp.orders.shop.local", "0 0 80 a.example.", kind="SRV")
    dns_server.set_records("a.example", "10.0.0.1")
    assert addresses(await resolver.lookup_srv("_http._tcp.orders")) == ["10.0.0.1"]


async def test_a_host_that_cannot_be_looked_up_keeps_its_addresses_and_one_that_is_gone_does_not(
    dns_server: NameServer, resolver: CaresResolver
) -> None:
    service = "_http._tcp.orders.example"
    dns_server.set_records(service, "0 0 80 a.example.", "0 0 80 b.example.", kind="SRV")
    dns_server.set_records("a.example", "10.0.0.1")
    dns_server.set_records("b.example", "10.0.0.2")
    assert addresses(await resolver.lookup_srv(service)) == ["10.0.0.1", "10.0.0.2"]
    dns_server.failing.add("b.example")
    assert addresses(await resolver.lookup_srv(service)) == ["10.0.0.1", "10.0.0.2"]
    dns_server.failing.clear()
    dns_server.remove("b.example")
    assert addresses(await resolver.lookup_srv(service)) == ["10.0.0.1"]


@pytest.mark.parametrize("records", [(), ("0 0 0 .",), ("0 0 80 nowhere.example.",)])
async def test_a_service_that_is_not_offered_has_no_addresses(
    dns_server: NameServer, resolver: CaresResolver, records: tuple[str, ...]
) -> None:
    dns_server.set_records("_http._tcp.orders.example", *records, kind="SRV")
    with pytest.raises(LookupFailed):
        await resolver.lookup_srv("_http._tcp.orders.example")


async def test_srv_records_that_name_no_host_or_no_port_are_left_out(
    dns_server: NameServer, resolver: CaresResolver
) -> None:
    odd = [r"a\032b.example.", r"a\013\010x.example.", r"\255\254.example.", r"a\.b.example."]
    dns_server.set_records(
        "_http._tcp.orders.example",
        *(f"1 1 80 {target}" for target in odd),
        "1 1 0 good.example.",
        "1 1 8080 good.example.",
        kind="SRV",
    )
    dns_server.set_records("good.example", "10.0.0.1")
    for _ in range(2):
        answer = await resolver.lookup_srv("_http._tcp.orders.example")
        assert answer.addresses == (ResolvedAddress("10.0.0.1", 8080, "good.example", 1.0, 1),)


async def test_a_line_of_resolv_conf_that_names_no_address_hides_no_name_server(
    dns_server: NameServer, tmp_path: Path
) -> None:
    dns_server.set_records("orders.example", "10.0.0.1")
    odd = ["nameserver dns.example", "nameserver é", "search é", f"options ndots:{'9' * 5000}"]
    odd.append(f"nameserver {'1' * 5000}")
    resolver = CaresResolver(dns_server.resolv_conf(tmp_path, *odd))
    assert addresses(await resolver.lookup("orders.example")) == ["10.0.0.1"]


@pytest.mark.parametrize("kind", NO_SMALL_FILES)
def test_what_is_no_small_resolv_conf_fails_the_lookup_and_blocks_nothing(tmp_path: Path, kind: str) -> None:
    put, reason = NO_SMALL_FILES[kind]
    put(tmp_path / "resolv.conf")
    with pytest.raises(LookupFailed, match=f"cannot be read: {reason}"):
        unblocked(lambda: asyncio.run(CaresResolver(tmp_path / "resolv.conf").lookup("orders")))

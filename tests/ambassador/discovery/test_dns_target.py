from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.balancing.endpoint import Endpoint
from sidecars.ambassador.config.target_types import Target
from sidecars.ambassador.discovery.dns_target import (
    DnsAnswer,
    DnsTarget,
    ResolvedAddress,
    SrvRecord,
    addresses_of_records,
    authority,
)


def make_target() -> DnsTarget:
    return DnsTarget(Target("http", "orders", 8080))


def answer(orders: DnsTarget, now: float, *addresses: str, ttl: float = 5.0) -> tuple[list[Endpoint], list[Endpoint]]:
    return orders.apply_answer(DnsAnswer(tuple(map(ResolvedAddress, addresses)), ttl), now, 1.0, 30.0)


def test_a_good_answer_replaces_what_was_known() -> None:
    orders = make_target()
    new, gone = answer(orders, 1.0, "10.0.0.1", "10.0.0.2")
    assert [endpoint.label for endpoint in new] == ["10.0.0.1:8080", "10.0.0.2:8080"]
    assert not gone
    kept = orders.endpoints["10.0.0.2", 8080]
    new, gone = answer(orders, 2.0, "10.0.0.2", "10.0.0.3")
    assert [endpoint.ip for endpoint in new] == ["10.0.0.3"]
    assert [endpoint.ip for endpoint in gone] == ["10.0.0.1"]
    assert gone[0].removed
    assert orders.endpoints["10.0.0.2", 8080] is kept


def test_the_last_good_answer_is_kept_when_dns_fails() -> None:
    orders = make_target()
    answer(orders, 1.0, "10.0.0.1")
    orders.note_failure("SERVFAIL")
    assert answer(orders, 3.0) == ([], [])
    assert [ip for ip, _ in orders.endpoints] == ["10.0.0.1"]
    assert orders.answered_at == 1.0
    assert orders.error
    answer(orders, 4.0, "10.0.0.1")
    assert orders.error == ""


def test_an_answer_holds_for_its_ttl_within_the_limits() -> None:
    orders = make_target()
    holds = []
    for ttl in (0.0, 5.0, 600.0):
        answer(orders, 1.0, "10.0.0.1", ttl=ttl)
        holds.append(orders.valid_for)
    assert holds == [1.0, 5.0, 30.0]


def test_an_address_that_comes_back_while_it_has_connections_is_the_same_endpoint() -> None:
    orders = make_target()
    answer(orders, 1.0, "10.0.0.1", "10.0.0.2")
    first = orders.endpoints["10.0.0.1", 8080]
    first.connections = 1
    answer(orders, 2.0, "10.0.0.2")
    orders.drop_drained()
    new, _ = answer(orders, 3.0, "10.0.0.1", "10.0.0.2")
    assert new == [first]
    assert not first.removed
    assert not orders.leaving


def test_one_that_is_gone_is_forgotten_with_its_last_connection() -> None:
    orders = make_target()
    answer(orders, 1.0, "10.0.0.1")
    (gone,) = answer(orders, 2.0, "10.0.0.2")[1]
    gone.connections = 1
    orders.drop_drained()
    assert list(orders.leaving.values()) == [gone]
    gone.connections = 0
    orders.drop_drained()
    assert not orders.leaving


ADDRESSES = [f"10.0.0.{number}" for number in range(5)]
EVENTS: st.SearchStrategy[tuple[str, list[str], float]] = st.one_of(
    st.tuples(st.just("answer"), st.lists(st.sampled_from(ADDRESSES), unique=True), st.floats(0, 1e6)),
    st.tuples(st.just("fail"), st.just([]), st.just(0.0)),
    st.tuples(st.just("close"), st.lists(st.sampled_from(ADDRESSES), max_size=1), st.just(0.0)),
)


@given(st.lists(EVENTS, max_size=30))
def test_what_is_known_is_always_the_last_good_answer(events: list[tuple[str, list[str], float]]) -> None:
    orders = make_target()
    good: list[str] = []
    seen: dict[str, Endpoint] = {}
    for now, (what, addresses, ttl) in enumerate(events):
        if what == "answer":
            new, gone = answer(orders, float(now), *addresses, ttl=ttl)
            if addresses:
                assert {endpoint.ip for endpoint in new} == set(addresses) - set(good)
                assert {endpoint.ip for endpoint in gone} == set(good) - set(addresses)
                good = addresses
                assert 1.0 <= orders.valid_for <= 30.0
            for endpoint in new:
                endpoint.connections = 1
                seen[endpoint.ip] = endpoint
        elif what == "fail":
            orders.note_failure("SERVFAIL")
        else:
            for endpoint in [each for each in orders.leaving.values() if each.ip in addresses]:
                endpoint.connections = 0
            orders.drop_drained()
        there = {ip for ip, _ in orders.endpoints}
        assert there == set(good)
        assert not there & {ip for ip, _ in orders.leaving}
        assert all(not endpoint.removed for endpoint in orders.endpoints.values())
        assert all(endpoint.removed and endpoint.connections for endpoint in orders.leaving.values())
        assert all(orders.endpoints[ip, 8080] is seen[ip] for ip in good)


def test_srv_records_bring_their_port_their_host_and_their_weight() -> None:
    orders = DnsTarget(Target("http", "_http._tcp.orders", 0, weight=2))
    found = addresses_of_records(
        [
            (SrvRecord(10, 3, 8080, "orders-0.shop"), ["10.0.0.1"]),
            (SrvRecord(10, 1, 8081, "orders-1.shop"), ["10.0.0.2"]),
            (SrvRecord(20, 0, 80, "spare.shop"), ["10.0.0.3"]),
            (SrvRecord(20, 5, 80, "gone.shop"), []),
        ]
    )
    orders.apply_answer(DnsAnswer(found, 5.0), 1.0, 1.0, 30.0)
    seen = [(each.label, each.host, each.full_weight, each.priority) for each in orders.endpoints.values()]
    assert seen == [
        ("10.0.0.1:8080", b"orders-0.shop:8080", 3.0, 10),
        ("10.0.0.2:8081", b"orders-1.shop:8081", 1.0, 10),
        ("10.0.0.3:80", b"spare.shop", 2.0, 20),
    ]


@pytest.mark.parametrize(
    ("scheme", "name", "host", "server_name"),
    [
        ("https", "_http._tcp.orders.shop", b"orders.shop", "orders.shop"),
        ("https", "_web._tcp.orders", b"orders", "orders"),
        ("https", "orders.service.consul", b"orders.service.consul", "orders.service.consul"),
        ("http", "_http._tcp.orders.shop", b"evil.example:8443", "orders.shop"),
    ],
)
def test_with_tls_no_srv_record_changes_a_name(scheme: str, name: str, host: bytes, server_name: str) -> None:
    """RFC 9525 section 6.1: a name from a DNS answer is no name to verify."""
    orders = DnsTarget(Target(scheme, name, 0))
    found = addresses_of_records([(SrvRecord(1, 1, 8443, "evil.example"), ["10.0.0.1"])])
    (endpoint,), _ = orders.apply_answer(DnsAnswer(found, 5.0), 1.0, 1.0, 30.0)
    assert (endpoint.host, endpoint.server_name, endpoint.label) == (host, server_name, "10.0.0.1:8443")


def test_the_authority_names_a_port_only_where_it_is_not_the_usual_one() -> None:
    assert authority("http", "orders", 8080) == "orders:8080"
    assert authority("http", "orders", 80) == "orders"
    assert authority("https", "orders", 443) == "orders"
    assert authority("https", "orders", 80) == "orders:80"
    assert authority("http", "fd00::1", 80) == "[fd00::1]"

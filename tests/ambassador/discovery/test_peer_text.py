"""Any text of a name server or a resolv.conf is converted to a declared result."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.config import target_types
from sidecars.ambassador.discovery import resolvconf
from sidecars.ambassador.discovery.dns_target import (
    DnsAnswer,
    DnsTarget,
    ResolvedAddress,
    SrvRecord,
    addresses_of_records,
)


@given(
    st.lists(
        st.builds(
            SrvRecord,
            st.integers(0, 65535),
            st.integers(0, 65535),
            st.integers(0, 65535),
            st.text(max_size=20)
            | st.binary(max_size=20)
            | st.sampled_from(["a.b", "_x.y", "a..b", "A" * 64, "a\r\nX: y"]),
        ),
        max_size=5,
    ),
    st.floats(allow_nan=False),
)
def test_every_srv_record_is_an_endpoint_or_left_out(records: list[Any], ttl: float) -> None:
    found = addresses_of_records([(record, ["10.0.0.1", "fd00::1"]) for record in records])
    name = DnsTarget(target_types.targets.parse("https+srv://_http._tcp.orders").targets[0])
    name.apply_answer(DnsAnswer(found, ttl), 0.0, 1.0, 30.0)
    for endpoint in name.endpoints.values():
        assert 0 < endpoint.port <= 65535
        assert endpoint.host.isascii()
        assert not set(endpoint.host) & set(b"\r\n\0 /@")
        assert endpoint.server_name.encode("idna")
    assert 1.0 <= name.valid_for <= 30.0 or not found


def test_an_srv_record_that_names_no_host_or_no_port_is_left_out() -> None:
    good = SrvRecord(1, 1, 80, "a.example")
    odd = [
        SrvRecord(1, 1, 0, "b.example"),
        SrvRecord(1, 1, 80, "a b"),
        SrvRecord(1, 1, 80, "a\\013\\010X: y"),
        SrvRecord(1, 1, 80, "a..b"),
        SrvRecord(1, 1, 80, "-" * 64),
        SrvRecord(1, 1, 80, ".".join(["a" * 50] * 6)),
        SrvRecord(1, 1, 80, b"\xff"),  # type: ignore[arg-type] # pycares returns a name beyond ASCII as bytes
        SrvRecord(1, 1, 80, ""),
    ]
    assert addresses_of_records([(record, ["10.0.0.1"]) for record in (*odd, good)]) == (
        ResolvedAddress("10.0.0.1", 80, "a.example", 1.0, 1),
    )


OPTIONS = st.tuples(
    st.sampled_from(["ndots", "timeout", "attempts", "rotate", "x"]), st.text("0123456789²٣-", max_size=8000)
)


LINES = st.text(max_size=40) | st.tuples(
    st.sampled_from(["nameserver", "search", "domain", "options"]),
    st.text(max_size=30)
    | OPTIONS.map(":".join)
    | st.sampled_from(["10.0.0.1", "fd00::1%eth0", "[::1]:53", "1.2.3.4:99999999"]),
).map(" ".join)


@given(st.lists(LINES, max_size=6).map("\n".join))
def test_every_resolv_conf_is_understood(text: str) -> None:
    settings = resolvconf.parse(text)
    assert settings.servers
    assert all(server.isascii() for server in (*settings.servers, *settings.domains))
    assert 0 <= settings.ndots <= 15
    assert 1 <= settings.timeout <= 30
    assert 1 <= settings.attempts <= 5


def test_a_name_server_that_is_no_address_does_not_hide_the_others() -> None:
    text = "nameserver dns.example\nnameserver 10.0.0.1\nnameserver é\nnameserver fd00::1\nsearch é a.example\n"
    settings = resolvconf.parse(text + f"options ndots:{'9' * 5000}\n")
    assert settings.servers == ("10.0.0.1", "fd00::1")
    assert settings.domains == ("a.example",)
    assert settings.ndots == 15

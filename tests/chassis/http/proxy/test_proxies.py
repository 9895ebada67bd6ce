"""The choice of a proxy: NO_PROXY by the rules of Go, and the hosts that are never reached through one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.http.proxy import proxies
from sidecars.chassis.http.proxy.proxies import Proxy, choose, covers, is_never_proxied, parse, parse_foreign


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "covered"),
    [
        ("*", "anything.example", 443, True),
        ("other, * ,more", "anything.example", 443, True),
        ("", "example.org", 443, False),
        ("example.org", "example.org", 443, True),
        ("example.org", "EXAMPLE.org.", 443, True),
        ("EXAMPLE.ORG", "logs.example.org", 443, True),
        ("example.org", "badexample.org", 443, False),
        (".example.org", "logs.example.org", 443, True),
        (".example.org", "example.org", 443, False),
        ("*.example.org", "a.b.example.org", 443, True),
        ("*.example.org", "example.org", 443, False),
        ("example.org:8443", "example.org", 8443, True),
        ("example.org:8443", "example.org", 443, False),
        ("10.0.0.1", "10.0.0.1", 80, True),
        ("10.0.0.1:81", "10.0.0.1", 80, False),
        ("10.0.0.1", "10.0.0.10", 80, False),
        ("10.0.0.1", "10.0.0.1.example", 80, False),
        ("0.1", "10.0.0.1", 80, False),
        ("10.0.0.0/8", "10.200.3.4", 80, True),
        ("10.0.0.0/8", "11.0.0.1", 80, False),
        ("10.0.0.0/8", "ten.example", 80, False),
        ("10.0.0.0/99", "10.0.0.1", 80, False),
        ("fd00::/8", "fd12::1", 80, True),
        ("[fd00::1]:80", "fd00::1", 80, True),
        ("[fd00::1]:81", "fd00::1", 80, False),
        ("fd00::1", "fd00:0:0::1", 80, True),
        ("svc.cluster.local,,", "loki.logging.svc.cluster.local", 3100, True),
    ],
)
def test_no_proxy_is_read_as_go_does(no_proxy: str, host: str, port: int, *, covered: bool) -> None:
    assert covers(no_proxy, host, port) is covered


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST.", "app.localhost", "127.0.0.1", "127.1", "127.9.9.9", "0x7f.1", "2130706433"),
        *("::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "0.0.0.0", "::"),
        *("169.254.169.254", "169.254.170.23", "169.254.1.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254"),
        *("metadata.google.internal", "metadata", "fd00:ec2::254", "168.63.129.16", "100.100.100.200"),
    ],
)
def test_this_host_its_link_and_metadata_services_are_never_reached_through_a_proxy(host: str) -> None:
    assert is_never_proxied(host)
    assert choose("https", host, 443, {"https": parse("http://proxy:3128")}, "") is None


@pytest.mark.parametrize(
    "host", ["example.org", "10.0.0.1", "fd00::1", "localhost.example", "127.example", "dead.beef"]
)
def test_other_hosts_are(host: str) -> None:
    assert choose("https", host, 443, {"https": parse("http://proxy:3128")}, "") == parse("proxy:3128")


def test_the_proxy_is_that_of_the_scheme_or_else_that_of_all() -> None:
    one, other = parse("http://one"), parse("http://other")
    assert choose("https", "example.org", 443, {"https": one, "all": other}, "") is one
    assert choose("http", "example.org", 80, {"https": one, "all": other}, "") is other
    assert choose("http", "example.org", 80, {"https": one, "all": None}, "") is None
    assert choose("https", "example.org", 443, {"https": one}, "example.org") is None


@pytest.mark.parametrize(
    ("raw", "host", "port"),
    [
        ("http://proxy:3128", "proxy", 3128),
        ("proxy:3128", "proxy", 3128),
        ("http://proxy/", "proxy", 80),
        ("HTTP://10.0.0.1:8080", "10.0.0.1", 8080),
        ("http://[fd00::1]:3128", "fd00::1", 3128),
    ],
)
def test_a_proxy_is_a_url_or_a_host_and_port(raw: str, host: str, port: int) -> None:
    proxy = parse(raw)
    assert (proxy.scheme, proxy.host, proxy.port, proxy.fields()) == ("http", host, port, [])


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "http://",
        "https://proxy",
        "socks5://proxy:1080",
        "http://proxy/path",
        "http://proxy?q",
        "http://proxy:x",
        "p x",
    ],
)
def test_anything_else_is_none(raw: str) -> None:
    with pytest.raises(ValueError, match=re.escape("expected http://[user:password@]host:port")):
        parse(raw)


def test_a_variable_of_all_programs_may_name_another_kind() -> None:
    assert parse_foreign("socks5://user:s3cretpass@proxy:1080").scheme == "socks5"


def test_credentials_become_a_field_and_are_never_shown() -> None:
    proxy = parse("http://shop:s3cret%40pass%3A@proxy:3128")
    assert proxy.fields() == [("Proxy-Authorization", "Basic c2hvcDpzM2NyZXRAcGFzczo=")]
    assert str(proxy) == repr(proxy) == "http://***@proxy:3128"


def test_proxies_are_equal_by_their_credentials_too() -> None:
    assert parse("http://a:b@proxy") == parse("a:b@proxy:80")
    assert parse("http://a:b@proxy") != parse("http://a:c@proxy")
    assert len({parse("proxy"), parse("http://proxy:80"), parse("other")}) == 2


@given(entries=st.text(max_size=60), host=st.text(max_size=60), port=st.integers(1, 65535))
def test_no_text_of_anybody_breaks_the_choice(entries: str, host: str, port: int) -> None:
    chosen = choose("http", host, port, {"http": Proxy("http", "proxy", 3128, None)}, entries)
    assert chosen is None or not proxies.covers(entries, host, port)

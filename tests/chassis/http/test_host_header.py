"""The `Host` of a request: an address, or a name that a stranger may have rebound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.chassis.http.host_header import is_address
from tests.support import examples


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:9913",
        "10.1.2.3:9913",
        "[::1]",
        "[::1]:9913",
        "[fe80::1%25eth0]:80",
        "::1",
        "localhost",
        "LOCALHOST:9913",
        "localhost.:80",
        "orders.localhost:80",
        "",
    ],
)
def test_an_address_and_localhost_are_nobodys_to_rebind(host: str) -> None:
    assert is_address(host)


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "example.com:9913",
        "127.0.0.1.example.com",
        "localhost.example.com",
        "notlocalhost",
        "127.0.0.1:9913.example.com",
        "127.0.0.1:99999999",
        "[::1]:80:example.com",
        "[example.com]",
        "0x7f000001.example",
        "2130706433",
        "user@127.0.0.1",
        "127.0.0.1/x",
        "127.0.0.1, example.com",
        "_",
    ],
)
def test_any_other_name_may_be_a_strangers(host: str) -> None:
    assert not is_address(host)


@examples(60)
@given(st.from_regex(r"[a-z]([a-z0-9-]{0,20}\.){1,3}[a-z]{2,8}(:[0-9]{1,5})?", fullmatch=True))
def test_no_name_of_a_public_domain_is_an_address(host: str) -> None:
    assert is_address(host) == (host.partition(":")[0].endswith(".localhost"))

"""One EndpointSlice from JSON that a broken API server may have written."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.discovery.kubernetes.documents import UnusableDocument
from sidecars.ambassador.discovery.kubernetes.endpoint_slices import MOST_ENDPOINTS, parse_slice
from tests.ambassador.api_server import endpoint, endpoint_slice


def parsed(conditions: dict[str, Any] | None) -> tuple[bool, bool, bool]:
    made = endpoint("10.0.0.1")
    made["conditions"] = conditions
    (found,) = parse_slice(endpoint_slice("a", [made], 80)).endpoints
    return found.ready, found.serving, found.terminating


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (None, (True, True, False)),
        ({}, (True, True, False)),
        ({"ready": None}, (True, True, False)),
        ({"ready": False}, (False, False, False)),
        ({"ready": True}, (True, True, False)),
        ({"ready": False, "serving": True, "terminating": True}, (False, True, True)),
        ({"ready": "yes", "serving": 1, "terminating": "true"}, (True, False, False)),
    ],
)
def test_conditions_that_are_missing_have_the_meaning_of_the_api(
    conditions: dict[str, Any] | None, expected: tuple[bool, bool, bool]
) -> None:
    assert parsed(conditions) == expected


@pytest.mark.parametrize(
    ("ip", "family"),
    [
        ("127.0.0.1", "IPv4"),
        ("0.0.0.0", "IPv4"),
        ("169.254.169.254", "IPv4"),
        ("168.63.129.16", "IPv4"),
        ("100.100.100.200", "IPv4"),
        ("fd00:ec2::254", "IPv6"),
        ("fd20:ce::254", "IPv6"),
        ("64:ff9b::a9fe:a9fe", "IPv6"),
        ("224.0.0.1", "IPv4"),
        ("::1", "IPv6"),
        ("::", "IPv6"),
        ("fe80::1", "IPv6"),
        ("fe80::1%eth0", "IPv6"),
        ("fd00::1%eth0", "IPv6"),
        ("::ffff:127.0.0.1", "IPv6"),
        ("10.0.0.1", "IPv6"),
        ("fd00::1", "IPv4"),
        ("orders", "FQDN"),
        ("10.0.0.1\r\nX: y", "IPv4"),
        ("", "IPv4"),
    ],
)
def test_an_address_that_the_api_would_not_accept_is_left_out(ip: str, family: str) -> None:
    """It would lead to this Pod, to its node or to the metadata server of a cloud."""
    found = parse_slice(endpoint_slice("a", [endpoint(ip), endpoint("10.0.0.9")], 80, family=family))
    assert [each.ip for each in found.endpoints] == (["10.0.0.9"] if family == "IPv4" else [])


def test_loopback_is_accepted_if_the_api_server_is_there_too() -> None:
    slices = endpoint_slice("a", [endpoint("127.0.0.2"), endpoint("169.254.0.1")], 80)
    assert [each.ip for each in parse_slice(slices, loopback=True).endpoints] == ["127.0.0.2"]


def test_only_the_first_address_counts_and_one_family_has_one_spelling() -> None:
    both = endpoint("FD00:0::1")
    both["addresses"] += ["fd00::2"]
    (found,) = parse_slice(endpoint_slice("a", [both], 80, family="IPv6")).endpoints
    assert found.ip == "fd00::1"


def test_a_slice_without_a_name_or_with_too_many_endpoints_is_refused() -> None:
    with pytest.raises(UnusableDocument, match="without a name"):
        parse_slice({"metadata": {"name": 7}})
    many = endpoint_slice("a", [endpoint("10.0.0.1")] * (MOST_ENDPOINTS + 1), 80)
    with pytest.raises(UnusableDocument, match="more than 1,000 endpoints"):
        parse_slice(many)


@pytest.mark.parametrize("port", [0, 65536, "80", True, None, 80.0])
def test_a_port_that_is_none_is_left_out(port: Any) -> None:
    assert parse_slice(endpoint_slice("a", [], port)).ports == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["metadata", "addressType", "endpoints", "ports", "addresses", "conditions", "hints", "name"])


@given(st.lists(st.tuples(names, json_values), max_size=4), st.lists(st.tuples(names, json_values), max_size=4))
def test_whatever_stands_in_place_of_a_value_it_is_parsed_or_refused(
    of_slice: list[tuple[str, Any]], of_endpoint: list[tuple[str, Any]]
) -> None:
    made = endpoint_slice("a", [{**endpoint("10.0.0.1"), **dict(of_endpoint)}], 80)
    with contextlib.suppress(UnusableDocument):
        found = parse_slice({**made, **dict(of_slice)})
        assert all(each.ip for each in found.endpoints)

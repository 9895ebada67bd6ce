"""The addresses of a Service that get requests, of all its slices."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.discovery.kubernetes.endpoint_slices import EndpointSlice, parse_slice
from sidecars.ambassador.discovery.kubernetes.selection import Selection, Wanted, choose_endpoints
from tests.ambassador.api_server import endpoint, endpoint_slice, leaving

HTTP = Wanted("orders.shop", 8080)


def choose(*slices: dict[str, Any], wanted: Wanted = HTTP, routed: str = "46") -> Selection:
    def has_route(ip: str) -> bool:
        return ("6" if ":" in ip else "4") in routed

    return choose_endpoints(map(parse_slice, slices), wanted, has_route)


def addresses(found: Selection) -> list[str]:
    return [each.ip for each in found.addresses]


def one(*endpoints: dict[str, Any], family: str = "IPv4") -> dict[str, Any]:
    return endpoint_slice(f"orders-{family}", endpoints, 8080, family=family)


def test_ready_endpoints_of_all_slices_are_used_each_once() -> None:
    found = choose(
        endpoint_slice("a", [endpoint("10.0.0.1"), endpoint("10.0.0.2", ready=False)], 8080),
        endpoint_slice("b", [endpoint("10.0.0.2"), endpoint("10.0.0.1"), endpoint("10.0.0.3", ready=None)], 8080),
    )
    assert addresses(found) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert not found.problem
    assert not found.note


def test_an_endpoint_that_terminates_gets_nothing_but_is_listed() -> None:
    found = choose(one(endpoint("10.0.0.1"), leaving("10.0.0.2"), endpoint("10.0.0.3", ready=False)))
    assert addresses(found) == ["10.0.0.1"]
    assert {ip for ip, _ in found.listed} == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}


def test_without_a_ready_endpoint_those_serve_that_terminate() -> None:
    found = choose(one(leaving("10.0.0.1"), endpoint("10.0.0.2", ready=False)))
    assert addresses(found) == ["10.0.0.1"]
    assert "terminate" in found.note


def test_a_service_that_publishes_everything_has_its_terminating_endpoints_last() -> None:
    """With publishNotReadyAddresses `ready` is true whatever happens."""
    assert addresses(choose(one(endpoint("10.0.0.1", terminating=True), endpoint("10.0.0.2")))) == ["10.0.0.2"]
    assert addresses(choose(one(endpoint("10.0.0.1", terminating=True)))) == ["10.0.0.1"]


def test_none_that_serves_is_an_answer_with_a_reason() -> None:
    found = choose(one(endpoint("10.0.0.1", ready=False)))
    assert not found.addresses
    assert not found.problem
    assert found.note == "none of the 1 endpoints of the Service orders.shop is ready"
    assert choose(one()).note == "the Service orders.shop has no endpoints"
    assert "no IPv6 endpoints" in choose(one(endpoint("10.0.0.1")), wanted=Wanted("o", 8080, family="ipv6")).note
    assert "no route" in choose(one(endpoint("10.0.0.1")), routed="6").note


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Wanted("orders", 8080), [8080]),
        (Wanted("orders", 0, "http"), [8080, 9090]),
        (Wanted("orders", 9090), [9090]),
    ],
)
def test_a_port_by_its_number_or_by_its_name_is_that_of_each_slice(wanted: Wanted, numbers: list[int]) -> None:
    """During a rollout the Pods behind one name may have different ports."""
    slices = [
        endpoint_slice("a", [endpoint("10.0.0.1")], 8080),
        endpoint_slice("b", [endpoint("10.0.0.2")], 9090),
    ]
    assert [each.port for each in choose(*slices, wanted=wanted).addresses] == numbers


def test_a_port_that_is_none_is_told_with_those_that_there_are() -> None:
    found = choose(one(endpoint("10.0.0.1")), wanted=Wanted("orders.shop", 80))
    assert "have no port 80: name one of 8080 (http)" in found.problem
    assert "have no port grpc" in choose(one(endpoint("10.0.0.1")), wanted=Wanted("orders", 0, "grpc")).problem


def test_a_service_without_slices_is_told_to_be_missing_or_an_external_name() -> None:
    problem = choose().problem
    assert "no EndpointSlice of the Service orders.shop" in problem
    assert "ExternalName (use http:// with its DNS name)" in problem


def test_udp_ports_and_names_are_no_addresses() -> None:
    names = endpoint_slice("a", [endpoint("orders.example")], 8080, family="FQDN")
    udp = one(endpoint("10.0.0.1"))
    udp["ports"][0]["protocol"] = "UDP"
    assert "no endpoints" in choose(names).note or "no port" in choose(names).problem
    assert "have no port 8080" in choose(udp).problem


# -- families -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "routed", "used"),
    [
        ("auto", "46", "10.0.0.1"),
        ("auto", "6", "fd00::1"),
        ("ipv6", "46", "fd00::1"),
        ("ipv4", "46", "10.0.0.1"),
    ],
)
def test_a_pod_with_two_addresses_is_one_endpoint(family: str, routed: str, used: str) -> None:
    slices = one(endpoint("10.0.0.1")), one(endpoint("fd00::1"), family="IPv6")
    found = choose(*slices, wanted=Wanted("orders", 8080, family=family), routed=routed)
    assert addresses(found) == [used]


def test_a_family_without_a_ready_endpoint_is_passed_over() -> None:
    slices = one(endpoint("10.0.0.1", ready=False)), one(endpoint("fd00::1"), family="IPv6")
    assert addresses(choose(*slices)) == ["fd00::1"]


# -- zones --------------------------------------------------------------------------------------------------------

A = Wanted("orders", 8080, zone="a")


def test_hints_keep_requests_in_the_zone() -> None:
    found = choose(one(endpoint("10.0.0.1", "a"), endpoint("10.0.0.2", "b"), endpoint("10.0.0.3", "b", "a")), wanted=A)
    assert addresses(found) == ["10.0.0.1", "10.0.0.3"]
    assert found.note == "zone a: 2 of 3 endpoints by hints of the cluster"


@pytest.mark.parametrize(
    "endpoints",
    [
        [endpoint("10.0.0.1", "a"), endpoint("10.0.0.2")],
        [endpoint("10.0.0.1", "b"), endpoint("10.0.0.2", "b")],
    ],
    ids=["one has no hint", "none names the zone"],
)
def test_hints_that_are_not_complete_are_ignored(endpoints: list[dict[str, Any]]) -> None:
    assert addresses(choose(one(*endpoints), wanted=A)) == ["10.0.0.1", "10.0.0.2"]


def test_without_a_zone_hints_are_ignored_and_a_zone_that_is_down_is_left() -> None:
    near, far = endpoint("10.0.0.1", "a"), endpoint("10.0.0.2", "b")
    assert addresses(choose(one(near, far))) == ["10.0.0.1", "10.0.0.2"]
    near["conditions"]["ready"] = near["conditions"]["serving"] = False
    assert addresses(choose(one(near, far), wanted=A)) == ["10.0.0.2"]


# -- properties ---------------------------------------------------------------------------------------------------

endpoints = st.builds(
    lambda number, zones, *, ready, terminating: endpoint(
        f"10.0.0.{number}", *zones, ready=ready, terminating=terminating
    ),
    st.integers(1, 9),
    st.lists(st.sampled_from("abc"), max_size=2),
    ready=st.sampled_from([True, False, None]),
    terminating=st.booleans(),
)
slices_of_endpoints = st.lists(st.lists(endpoints, max_size=5), max_size=4)


def parsed(several: list[list[dict[str, Any]]]) -> list[EndpointSlice]:
    return [parse_slice(endpoint_slice(f"s{number}", each, 8080)) for number, each in enumerate(several)]


@given(slices_of_endpoints, st.sampled_from(["", "a", "b"]))
def test_whatever_the_slices_are_the_choice_is_a_part_of_what_they_list(
    several: list[list[dict[str, Any]]], zone: str
) -> None:
    slices = parsed(several)
    found = choose_endpoints(slices, Wanted("orders", 8080, zone=zone))
    used = [(each.ip, each.port) for each in found.addresses]
    assert len(set(used)) == len(used)
    assert set(used) <= found.listed
    every = [each for one in slices for each in one.endpoints]
    ready = {each.ip for each in every if each.ready and not each.terminating}
    if ready:
        assert {ip for ip, _ in used} <= ready
        assert used, "a ready endpoint and no choice"
        if not zone:
            assert {ip for ip, _ in used} == ready
    else:
        assert {ip for ip, _ in used} == {each.ip for each in every if each.serving and each.terminating}


@given(slices_of_endpoints, st.randoms())
def test_the_choice_does_not_depend_on_how_endpoints_are_spread_over_slices(
    several: list[list[dict[str, Any]]], rand: Any
) -> None:
    together = [each for one in several for each in one]
    if not together:
        return
    rand.shuffle(together)
    before = choose_endpoints(parsed(several), Wanted("orders", 8080))
    after = choose_endpoints(parsed([together]), Wanted("orders", 8080))
    assert {each.ip for each in before.addresses} == {each.ip for each in after.addresses}

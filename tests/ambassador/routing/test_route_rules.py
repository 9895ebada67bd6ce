"""The setting ROUTE."""

from __future__ import annotations

import pytest

from sidecars.ambassador.routing.route_rules import parse_rules


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("/orders", "/orders"),
        ("/orders/", "/orders"),
        ("/", "/"),
        ("/shop.v1.Orders/", "/shop.v1.Orders"),
        ("host=Orders.LOCAL", "host=orders.local"),
        ("host=*.local", "host=*.local"),
        ("host=[fd00::1]", "host=[fd00::1]"),
        ("header:X-Tenant=blue", "header:x-tenant=blue"),
        ("header:x-canary", "header:x-canary"),
        ("header:cookie", "header:cookie"),
        ("header:b=2  header:a=1 host=h /x", "/x host=h header:a=1 header:b=2"),
        ("/orders, host=h /users", "/orders, /users host=h"),
        ("/ host=h", "host=h"),
        ("/a header:X-Api-Key=s3cret-value", "/a header:x-api-key=***"),
        ("header:x-session-token", "header:x-session-token"),
    ],
)
def test_a_route_is_shown_in_one_form_however_it_is_written(raw: str, shown: str) -> None:
    assert ", ".join(map(str, parse_rules(raw))) == shown


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("orders", "rule 1: expected /path, host=name"),
        ("/a,,/b", "rule 2: expected /path"),
        ("/a /b", "expected one path"),
        ("host=a host=b", "expected one host"),
        ("header:a=1 header:A=2", "expected one condition on each field"),
        ("/a, /a/", "expected each rule once"),
        ("/a/../b", "without empty or dot segments"),
        ("/a//b", "without empty or dot segments"),
        ("/%61", "expected a path such as /orders"),
        ("/a;v=1", "expected a path such as /orders"),
        ("/a?x=1", "expected a path such as /orders"),
        ("host=a:80", "without a port"),
        ("host=a.*", "expected a host name"),
        ("header:host=a", "expected host=name"),
        ("header:content-length=1", "nothing is decided by it"),
        ("header:te=trailers", "nothing is decided by it"),
        ("header:authorization=Bearer-x", "the value of authorization is a secret"),
        ("header:a=", "rule 1: expected /path"),
    ],
)
def test_a_route_that_is_not_one_is_refused_in_words(raw: str, why: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_rules(raw)
    assert why in str(caught.value)


def test_rules_that_differ_in_a_hidden_value_are_two_rules() -> None:
    one, other = parse_rules("header:x-api-key=first-secret, header:x-api-key=other-secret")
    assert str(one) == str(other)
    assert one.text != other.text
    with pytest.raises(ValueError, match="each rule once"):
        parse_rules("header:x-api-key=a, header:X-API-Key=a")

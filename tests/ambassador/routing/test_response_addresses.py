"""Addresses in responses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.http.http2_response import Http2Response
from sidecars.ambassador.http.messages import Response
from sidecars.ambassador.http.response_head import parse_response
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.heads import check_response
from sidecars.ambassador.routing.address_map import AddressMap, origin
from sidecars.ambassador.routing.response_addresses import ALL, ResponseAddresses
from tests.ambassador.exchanges import parse
from tests.ambassador.routing.test_path_reading import DOT_SEGMENTS

GET = parse(b"GET / HTTP/1.1\r\nHost: localhost:8500")


def editor(
    base: bytes = b"/api/v2",
    prefix: bytes = b"/orders",
    app_host: bytes | None = b"localhost:8500",
    scheme: bytes = b"http",
    rewrites: frozenset[str] = frozenset(ALL),
) -> ResponseAddresses:
    origins = frozenset({origin(scheme, b"10.0.0.1:8080")})
    return ResponseAddresses(AddressMap(base, prefix, rewrites, origins), app_host, scheme, b"orders.shop:8080")


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"/api/v2/7?x=/api/v2#y", b"/orders/7?x=/api/v2#y"),
        (b"/api/v2", b"/orders"),
        (b"/api/v2/", b"/orders/"),
        (b"http://orders.shop:8080/api/v2/7", b"http://localhost:8500/orders/7"),
        (b"HTTP://Orders.Shop:8080/api/v2/7?x", b"http://localhost:8500/orders/7?x"),
        (b"http://10.0.0.1:8080/api/v2/7", b"http://localhost:8500/orders/7"),
        (b"http://localhost:8500/api/v2/7", b"http://localhost:8500/orders/7"),  # by HOST=preserve
        (b"//orders.shop:8080/api/v2/7", b"//localhost:8500/orders/7"),
        # Left as they are:
        (b"/login", b"/login"),
        (b"/api/v20/7", b"/api/v20/7"),
        (b"http://orders.shop:8080/login", b"http://orders.shop:8080/login"),
        (b"http://orders.shop:8080", b"http://orders.shop:8080"),
        (b"http://orders.shop/api/v2/7", b"http://orders.shop/api/v2/7"),
        (b"https://orders.shop:8080/api/v2/7", b"https://orders.shop:8080/api/v2/7"),
        (b"http://other:8080/api/v2/7", b"http://other:8080/api/v2/7"),
        (b"http://me@orders.shop:8080/api/v2/7", b"http://me@orders.shop:8080/api/v2/7"),
        (b"http://orders.shop:8080@evil/api/v2/7", b"http://orders.shop:8080@evil/api/v2/7"),
        (b"http://orders.shop:8080\\@evil/api/v2/7", b"http://orders.shop:8080\\@evil/api/v2/7"),
        (b"//evil/api/v2/7", b"//evil/api/v2/7"),
        (b"7", b"7"),
        (b"../7", b"../7"),
        (b"?page=2", b"?page=2"),
        (b"", b""),
        (b"mailto:a@b", b"mailto:a@b"),
        (b"http:/api/v2/7", b"http:/api/v2/7"),
        (b"/api/v2/../../login", b"/api/v2/../../login"),
    ],
)
def test_a_location_is_seen_as_the_app_would_ask_for_it(sent: bytes, seen: bytes) -> None:
    for name in (b"location", b"content-location"):
        assert editor().edit(name, sent) == seen
    assert editor().edit(b"refresh", b"5; url=" + sent) == b"5; url=" + seen


def test_forms_of_refresh() -> None:
    edit = editor().edit
    assert edit(b"refresh", b"0;URL='/api/v2/7'") == b"0;URL='/orders/7'"
    assert edit(b"refresh", b'0 , url = "/api/v2/7"') == b'0 , url = "/orders/7"'
    assert edit(b"refresh", b"5") == b"5"
    assert edit(b"refresh", b"5; /api/v2/7") == b"5; /api/v2/7"


def test_without_the_host_of_the_app_a_url_becomes_a_path() -> None:
    assert editor(app_host=None).edit(b"location", b"http://orders.shop:8080/api/v2/7") == b"/orders/7"


def test_a_url_of_an_upstream_with_tls_leads_to_the_port_which_has_none() -> None:
    edit = editor(scheme=b"https").edit
    assert edit(b"location", b"https://orders.shop:8080/api/v2/7") == b"http://localhost:8500/orders/7"
    assert edit(b"location", b"http://orders.shop:8080/api/v2/7") == b"http://orders.shop:8080/api/v2/7"
    assert edit(b"location", b"https://localhost:8500/api/v2/7") == b"http://localhost:8500/orders/7"


@pytest.mark.parametrize("path", DOT_SEGMENTS)
def test_a_location_with_a_dot_segment_is_left(path: bytes) -> None:
    assert editor().edit(b"location", b"/api/v2" + path) == b"/api/v2" + path


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"id=1; Path=/api/v2; Secure", b"id=1; Path=/orders; Secure"),
        (b"id=1;path = /api/v2/cart ;HttpOnly", b"id=1;path =/orders/cart;HttpOnly"),
        (b"id=1; Path=/", b"id=1; Path=/orders"),
        (b"id=1; Path=/api; Max-Age=5", b"id=1; Path=/orders; Max-Age=5"),
        (b"id=1; Path=/other", b"id=1; Path=/other"),
        (b"id=1; Path=", b"id=1; Path="),
        (b"id=1", b"id=1"),
        (b"path=/api/v2", b"path=/api/v2"),  # the name of the cookie
        (b"__Host-id=1; Secure; Path=/", b"__Host-id=1; Secure; Path=/"),
        (b"id=1; Domain=orders.shop; Path=/", b"id=1; Path=/orders"),
        (b"id=1; domain=.SHOP", b"id=1"),
        (b"id=1; Domain=example.com", b"id=1; Domain=example.com"),
        (b"id=1; Domain=hop", b"id=1; Domain=hop"),
        (b"id=1; Domain=", b"id=1; Domain="),
    ],
)
def test_a_cookie_is_for_what_the_app_asks(sent: bytes, seen: bytes) -> None:
    assert editor().edit(b"set-cookie", sent) == seen


def test_only_what_the_setting_names_is_rewritten() -> None:
    value = b"id=1; Path=/api/v2; Domain=orders.shop"
    assert (
        editor(rewrites=frozenset({"cookies"})).edit(b"set-cookie", value) == b"id=1; Path=/orders; Domain=orders.shop"
    )
    assert editor(rewrites=frozenset({"domains"})).edit(b"set-cookie", value) == b"id=1; Path=/api/v2"
    assert editor(rewrites=frozenset({"location"})).names == {b"location", b"content-location", b"refresh"}


@given(st.binary(max_size=60))
def test_an_edit_adds_no_line_and_no_host(value: bytes) -> None:
    for name in (b"location", b"refresh", b"set-cookie"):
        seen = editor().edit(name, value)
        assert seen.count(b"\r") + seen.count(b"\n") <= value.count(b"\r") + value.count(b"\n")
        assert seen == value or b"//" not in seen or b"//localhost:8500" in seen or b"//" in value


def responses() -> list[Response]:
    """Return the same response in both protocols."""
    one = parse_response(
        b"HTTP/1.1 302 Found\r\nLocation: /api/v2/7\r\nSet-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\nX-A: /api/v2\r\n"
        b"Content-Length: 3",
        GET,
    )
    fields = [
        Field(b":status", b"302"),
        Field(b"location", b"/api/v2/7"),
        Field(b"set-cookie", b"a=1; Path=/", never=True),
        Field(b"set-cookie", b"b=2"),
        Field(b"x-a", b"/api/v2"),
        Field(b"content-length", b"3"),
    ]
    return [one, Http2Response(check_response(fields), GET)]


def test_a_response_of_either_protocol_has_the_edited_fields_and_all_others() -> None:
    for response in responses():
        edited = response.edited(editor())
        head = edited.head(1, close=False)
        assert b"ocation: /orders/7\r\n" in head
        assert b"ookie: a=1; Path=/orders\r\n" in head
        assert b"ookie: b=2\r\n" in head
        assert b"/api/v2\r\n" in head
        assert b"Content-Length: 3\r\n" in head
        assert (edited.status, edited.length, edited.content_length) == (302, 3, 3)
        assert edited.value(b"location") == b"/orders/7"
        assert b"/orders/7" in edited.block() or b"302" not in edited.block()


def test_a_response_without_such_fields_is_itself_and_a_shared_one_is_never_changed() -> None:
    plain = parse_response(b"HTTP/1.1 200 OK\r\nContent-Length: 3", GET)
    assert plain.edited(editor()) is plain
    head = b"HTTP/1.1 302 Found\r\nLocation: /api/v2/7\r\nContent-Length: 3"
    shared = [parse_response(head, GET) for _ in range(3)][-1]
    assert shared.edited(editor()) is not shared
    assert parse_response(head, GET).value(b"location") == b"/api/v2/7"

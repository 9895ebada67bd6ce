"""Paths on both sides of an upstream with a base, or of a route whose prefix is stripped."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sidecars.ambassador.routing.address_map import AddressMap, common_path, origin
from sidecars.ambassador.routing.path_reading import by_rfc, has_dot_segment, is_under
from tests.ambassador.routing.test_path_reading import DOT_SEGMENTS

PREFIXES = st.sampled_from([b"", b"/orders", b"/a/b", b"/api"])
PATHS = st.lists(
    st.sampled_from([b"orders", b"api", b"a", b"b", b"", b"x.y", b"%2F", b"%6frders", b";v", b"a b"]), max_size=5
).map(lambda parts: b"/" + b"/".join(parts))


def address_map(base: bytes, prefix: bytes) -> AddressMap:
    return AddressMap(base, prefix, frozenset())


@pytest.mark.parametrize(
    ("rules", "scope"),
    [
        ([b"/orders"], b"/orders"),
        ([b"/shop/orders", b"/shop/carts"], b"/shop"),
        ([b"/shop/orders", b"/shop"], b"/shop"),
        ([b"/orders", b"/orders2"], b""),
        ([b"/orders", b""], b""),
        ([b""], b""),
    ],
)
def test_the_cookies_of_a_base_are_for_the_paths_of_its_upstream_and_for_no_other(
    rules: list[bytes], scope: bytes
) -> None:
    found = AddressMap(b"/api/v2", b"", frozenset({"cookies"}), frozenset(), common_path(rules))
    for path in (b"/", b"/api", b"/api/v2", b"/api/v2/"):
        assert found.inward_scope(path) == (scope or b"/")
    assert found.inward_scope(b"/api/v2/orders/7") == b"/orders/7"


@pytest.mark.parametrize(
    ("base", "prefix", "asked", "sent"),
    [
        (b"/api/v2", b"", b"/x?y=/z", b"/api/v2/x?y=/z"),
        (b"/api/v2", b"", b"/", b"/api/v2/"),
        (b"/api/v2", b"", b"/?x", b"/api/v2/?x"),
        (b"/api/v2", b"", b"*", b"/api/v2"),
        (b"", b"/orders", b"*", b"*"),
        (b"", b"/orders", b"/orders/7", b"/7"),
        (b"", b"/orders", b"/orders", b"/"),
        (b"", b"/orders", b"/orders?x=1", b"/?x=1"),
        (b"", b"/orders", b"/orders/", b"/"),
        (b"", b"/orders", b"/%6frders/7//8", b"/7//8"),
        (b"", b"/orders", b"/%6frders", b"/"),
        (b"", b"/a/b", b"/%61/b/c", b"/c"),
        (b"/api", b"/orders", b"/orders/7", b"/api/7"),
        (b"/api", b"/orders", b"/orders", b"/api"),
        (b"/api", b"/orders", b"/orders/", b"/api/"),
    ],
)
def test_the_prefix_is_replaced_by_the_base(base: bytes, prefix: bytes, asked: bytes, sent: bytes) -> None:
    assert address_map(base, prefix).outward(asked) == sent


@given(PREFIXES, PREFIXES, PATHS)
def test_what_is_added_and_what_is_stripped_are_inverse(base: bytes, prefix: bytes, rest: bytes) -> None:
    both = address_map(base, prefix)
    inward = both.inward(both.outward(prefix + rest))
    assert inward == prefix + rest or (not prefix and rest.startswith(b"//") and inward is None)


@given(PREFIXES, PREFIXES, PATHS)
def test_no_request_leaves_the_base(base: bytes, prefix: bytes, path: bytes) -> None:
    assume(is_under(by_rfc(path), prefix))
    assert is_under(address_map(base, prefix).outward(path), base)


@given(PREFIXES, PREFIXES, PATHS)
def test_what_is_not_under_the_base_is_no_address_of_the_app(base: bytes, prefix: bytes, path: bytes) -> None:
    both = address_map(base, prefix)
    found = both.inward(path)
    if found is None:
        assert not is_under(path, base) or path[len(base) :].startswith(b"//")
    else:
        assert is_under(path, base)
        assert is_under(found, prefix)
        assert found.startswith(b"/")
        assert not found.startswith(b"//")


@pytest.mark.parametrize("path", DOT_SEGMENTS)
def test_a_dot_segment_is_never_rewritten(path: bytes) -> None:
    assert has_dot_segment(path)
    assert address_map(b"/api", b"/orders").inward(b"/api" + path) is None


def test_a_path_does_not_become_a_host() -> None:
    both = address_map(b"/api", b"")
    assert both.inward(b"/api//evil.example/x") is None
    assert both.inward(b"/api/\\evil.example/x") is None


@pytest.mark.parametrize(
    ("base", "prefix", "scope", "seen"),
    [
        (b"/api/v2", b"", b"/", b"/"),
        (b"/api/v2", b"", b"/api", b"/"),
        (b"/api/v2", b"", b"/api/v2", b"/"),
        (b"/api/v2", b"", b"/api/v2/", b"/"),
        (b"/api/v2", b"", b"/api/v2/cart", b"/cart"),
        (b"/api/v2", b"", b"/api/v3", None),
        (b"/api/v2", b"/orders", b"/", b"/orders"),
        (b"", b"/orders", b"/", b"/orders"),
        (b"", b"/orders", b"/cart", b"/orders/cart"),
        (b"/api", b"/orders", b"/ap", None),
    ],
)
def test_the_scope_of_a_cookie_is_that_of_the_upstream_alone(
    base: bytes, prefix: bytes, scope: bytes, seen: bytes | None
) -> None:
    assert address_map(base, prefix).inward_scope(scope) == seen


def test_origins_are_compared_without_case_and_usual_ports() -> None:
    same = {origin(b"http", each) for each in (b"a", b"A:80", b"a:", b"a:080")} | {origin(b"HTTP", b"a")}
    assert len(same) == 1
    assert len({origin(b"https", b"a"), origin(b"https", b"a:443"), origin(b"http", b"a:443")}) == 2
    assert origin(b"http", b"[::1]:80") == origin(b"http", b"[::1]")

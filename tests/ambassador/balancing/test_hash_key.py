from __future__ import annotations

import pytest

from sidecars.ambassador.balancing.hash_key import hash_key_function

FIELDS = b"\r\nX-User: alice\r\nCookie: theme=dark; Session=s1;session=s2\r\nX-User-Agent: bob\r\n\r\n"


@pytest.mark.parametrize(
    ("balance", "key"),
    [
        ("hash:header:x-user", b"alice"),
        ("hash:header:x-user-agent", b"bob"),
        ("hash:header:user", b""),
        ("hash:cookie:session", b"s2"),
        ("hash:cookie:Session", b"s1"),
        ("hash:cookie:theme", b"dark"),
        ("hash:cookie:eme", b""),
        ("hash:source", b"10.1.2.3"),
    ],
)
def test_the_key_of_a_request(balance: str, key: bytes) -> None:
    find = hash_key_function(balance)
    assert find is not None
    assert find(FIELDS, "10.1.2.3") == key


def test_without_a_hash_there_is_no_key_to_look_for() -> None:
    assert hash_key_function("ewma") is None

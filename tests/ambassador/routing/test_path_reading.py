"""Paths that could reach another upstream, or leave a base: an attack table, and properties."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.routing.path_reading import PathRefused, by_rfc, has_dot_segment, is_plain, is_under, leniently

DOT_SEGMENTS = [
    b"/orders/../admin",
    b"/orders/./x",
    b"/..",
    b"/orders/..",
    b"/orders/%2e%2e/admin",
    b"/orders/%2E./admin",
    b"/orders/.%2e/admin",
    b"/orders/..%2fadmin",
    b"/orders%2f..%2fadmin",
    b"/orders/%2e%2e%2fadmin",
    b"/orders/..\\admin",
    b"/orders\\..\\admin",
    b"/orders/..%5cadmin",
    b"/orders/%252e%252e/admin",
    b"/orders/%25252e%25252e/admin",
    b"/orders/%25%32%65%25%32%65/admin",
    b"/orders/%252%65%252%65/admin",
    b"/orders/%2%65%2%65/admin",
    b"/orders/%u002e%u002e/admin",
    b"/orders/..;/admin",
    b"/orders/..;x=1/admin",
    b"/orders/..%3b/admin",
    b"/orders/%2e%2e;/admin",
    b"/orders/..%00/admin",
    b"/orders/..%00.txt/admin",
    b"/orders/..%20/admin",
    b"/orders/..%0a/admin",
    b"/orders/..%3fx/admin",
    b"/orders/..%23/admin",
    b"/orders/..%e0%80%afadmin",
    b"/orders/%f0%80%80%ae%f0%80%80%ae/admin",
    b"/orders/%c0%ae%c0%ae/admin",
    b"/orders/%c0%ae%c0%ae%c0%afadmin",
    b"/orders//../admin",
]
READINGS = [  # a path, how the RFC reads it, and the most lenient server
    (b"/orders/%37", b"/orders/7", b"/orders/7"),
    (b"/%6frders/7", b"/orders/7", b"/orders/7"),
    (b"/%6Frders/%7Euser", b"/orders/~user", b"/orders/~user"),
    (b"/a%2fb", b"/a%2fb", b"/a/b"),
    (b"/a%5Cb", b"/a%5Cb", b"/a/b"),
    (b"/a\\b", b"/a\\b", b"/a/b"),
    (b"//orders/7", b"//orders/7", b"/orders/7"),
    (b"/orders//7", b"/orders//7", b"/orders/7"),
    (b"/orders;v=1/7", b"/orders;v=1/7", b"/orders/7"),
    (b"/a%252fb", b"/a%252fb", b"/a/b"),
    (b"/%25%36%31", b"/%2561", b"/a"),
    (b"/a%3fx/b%00c", b"/a%3fx/b%00c", b"/a/b"),
    (b"/100%25", b"/100%25", b"/100%"),
    (b"/a%", b"/a%", b"/a%"),
    (b"/a%zz", b"/a%zz", b"/a%zz"),
    (b"/.well-known/x", b"/.well-known/x", b"/.well-known/x"),
    (b"/...", b"/...", b"/..."),
    (b"/%C3%A9", b"/%C3%A9", b"/\xc3\xa9"),
    (b"/", b"/", b"/"),
]


@pytest.mark.parametrize("path", DOT_SEGMENTS)
def test_a_dot_segment_is_found_however_it_is_written(path: bytes) -> None:
    assert has_dot_segment(path)
    with pytest.raises(PathRefused, match="dot segment"):
        leniently(path)


def test_a_path_that_is_encoded_again_and_again_is_refused() -> None:
    path = b"/a%2" + b"%3" * 9 + b"%35"  # each round decodes the last digit
    with pytest.raises(PathRefused, match="again and again"):
        leniently(path)


@pytest.mark.parametrize(("path", "rfc", "lenient"), READINGS)
def test_both_readings_of_a_path(path: bytes, rfc: bytes, lenient: bytes) -> None:
    assert (by_rfc(path), leniently(path)) == (rfc, lenient)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#?"), max_size=40))
def test_the_readings_of_a_plain_path_are_its_bytes(text: str) -> None:
    path = b"/" + text.encode()  # the letters that a target may have
    if is_plain(path):
        assert by_rfc(path) == path
        assert leniently(path).rstrip(b"/") == path.rstrip(b"/")


@given(
    st.lists(
        st.sampled_from([b"/", b".", b"..", b"%2e", b"%2F", b"a", b"\\", b";x", b"%25", b"%32", b"%65", b"2e", b"%"]),
        max_size=9,
    )
)
def test_no_reader_finds_a_dot_segment_in_a_path_that_passes(parts: list[bytes]) -> None:
    path = b"/" + b"".join(parts)
    if has_dot_segment(path):
        return
    read = path
    for _ in range(4):  # servers that decode, once or more often
        segments = re.split(rb"[/\\]", read)
        assert not {b".", b".."} & {segment.partition(b";")[0] for segment in segments}
        read = unquote_to_bytes(read)


def test_a_prefix_has_whole_segments() -> None:
    assert [
        is_under(path, b"/orders") for path in (b"/orders", b"/orders/", b"/orders/7", b"/orders2", b"/order", b"*")
    ] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert is_under(b"/anything", b"")
    assert is_under(b"*", b"")

"""Fingerprints: a file is recognised after any change, and never taken for another one."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from sidecars.logshipper.model.fingerprint import (
    POSITION_LENGTH,
    PREFIX_LENGTH,
    Fingerprint,
    ReadAt,
    equals_beginning_of,
    is_compressed,
    position_fingerprint,
    prefix_fingerprint,
    same_content,
    short_copy,
)


def reader_at(data: bytes) -> ReadAt:
    return lambda offset, length: data[offset : offset + length]


def fingerprints(data: bytes, *offsets: int) -> list[Fingerprint]:
    """Return the fingerprints of a file that was shipped up to these offsets."""
    return [
        prefix_fingerprint(data[: max(offsets)]),
        *(position_fingerprint(offset, data[:offset]) for offset in offsets),
    ]


_CONTENT = st.binary(min_size=1, max_size=3 * PREFIX_LENGTH)


@given(_CONTENT, st.binary(max_size=50), st.data())
def test_a_file_that_grew_is_the_same(content: bytes, more: bytes, data: st.DataObject) -> None:
    offset = data.draw(st.integers(1, len(content)))
    grown = content + more
    assert same_content(fingerprints(content, offset), len(grown), reader_at(grown))


@given(_CONTENT, st.data())
def test_a_file_that_was_cut_before_a_position_is_not(content: bytes, data: st.DataObject) -> None:
    offset = data.draw(st.integers(1, len(content)))
    cut = content[: data.draw(st.integers(0, offset - 1))]
    assert not same_content(fingerprints(content, offset), len(cut), reader_at(cut))


@given(_CONTENT, _CONTENT, st.data())
def test_a_file_that_was_cut_and_refilled_beyond_the_position_is_another(
    content: bytes, other: bytes, data: st.DataObject
) -> None:
    offset = data.draw(st.integers(1, len(content)))
    assume(other[max(0, offset - POSITION_LENGTH) : offset] != content[max(0, offset - POSITION_LENGTH) : offset])
    assert not same_content(fingerprints(content, offset), len(other), reader_at(other))


def test_an_equal_banner_does_not_make_two_files_one() -> None:
    banner = b"=" * PREFIX_LENGTH
    mine, other = banner + b"mine\n" * 10, banner + b"others\n" * 10
    assert not same_content(fingerprints(mine, len(mine)), len(other), reader_at(other))


def test_a_file_of_which_nothing_is_known_is_never_recognised() -> None:
    assert not same_content([Fingerprint(0, 0, "")], 10, reader_at(b"0123456789"))


def test_a_copy_that_ends_before_the_position_is_recognised_by_an_earlier_one() -> None:
    content = b"".join(b"line %d\n" % number for number in range(1000))
    copy = content[:5000]
    assert short_copy(fingerprints(content, 4900, 7000), len(copy), reader_at(copy))
    assert not short_copy(fingerprints(content, 2000, 7000), len(copy), reader_at(copy)), (
        "a banner alone proves nothing"
    )
    assert not short_copy(fingerprints(content, 4900), len(copy), reader_at(copy[::-1]))


def test_a_copy_in_the_making_equals_the_beginning_of_the_original() -> None:
    original = b"".join(b"line %d\n" % number for number in range(1000))
    for size in (1, 100, 5000, len(original)):
        copy = original[:size]
        assert equals_beginning_of(len(copy), reader_at(copy), len(original), reader_at(original))
    assert not equals_beginning_of(0, reader_at(b""), len(original), reader_at(original))
    assert not equals_beginning_of(5, reader_at(b"other"), len(original), reader_at(original))
    longer = original + b"x"
    assert not equals_beginning_of(len(longer), reader_at(longer), len(original), reader_at(original))


def test_compressed_files_are_known_by_their_first_bytes() -> None:
    assert is_compressed(b"\x1f\x8b\x08\x00")
    assert not is_compressed(b"2026-01-01 INFO")
    assert not is_compressed(b"")

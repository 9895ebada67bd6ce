"""HPACK beside the library `hpack`: what it encodes we decode, errors included, and it decodes what we encode."""

from __future__ import annotations

import tracemalloc

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.http.http2_request import Http2Request
from sidecars.ambassador.http.request_head import CombinedEdits
from sidecars.ambassador.http2 import huffman
from sidecars.ambassador.http2.decoder import STATE, Decoder
from sidecars.ambassador.http2.encoder import NO_TABLE, STATIC_TABLE, encode_field, encode_integer
from sidecars.ambassador.http2.fields import Field
from sidecars.ambassador.http2.frames import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, ProtocolError
from sidecars.ambassador.http2.heads import check_request
from tests.support import examples

Pairs = list[tuple[bytes, bytes]]

_NAMES = st.sampled_from([name for name, _ in STATIC_TABLE] + [b"grpc-timeout", b"x-id"]) | st.binary(max_size=12)
_FIELDS = st.lists(st.tuples(_NAMES, st.sampled_from([b"", b"GET", b"1m"]) | st.binary(max_size=80)), max_size=8)
_STEP = st.tuples(_FIELDS, st.booleans(), st.none() | st.integers(0, 4096))


def decoder(max_size: int = 1_000_000, max_fields: int = 1000) -> Decoder:
    return Decoder(max_size, max_fields)


def pairs(fields: list[Field]) -> Pairs:
    return [(each.name, each.value) for each in fields]


@examples(60)
@given(st.lists(_STEP, max_size=6))
def test_what_the_oracle_encodes_is_decoded_block_by_block(steps: list[tuple[Pairs, bool, int | None]]) -> None:
    oracle, ours = hpack.Encoder(), decoder()
    for fields, huffman_coded, size in steps:
        if size is not None:
            oracle.header_table_size = size
        block = oracle.encode(fields, huffman=huffman_coded)
        assert pairs(ours.decode(block).fields) == fields
        repeated = oracle.encode(fields, huffman=huffman_coded)
        assert pairs(ours.decode(repeated).fields) == fields


@examples(150)
@given(st.lists(st.binary(max_size=24), max_size=4))
def test_any_bytes_are_decoded_as_by_the_oracle_or_refused_as_by_it(blocks: list[bytes]) -> None:
    oracle, ours = hpack.Decoder(), decoder()
    for block in blocks:
        try:
            expected: Pairs | None = [(bytes(name), bytes(value)) for name, value in oracle.decode(block, raw=True)]
        except Exception:  # noqa: BLE001 - the oracle's own errors, and those of its indexing
            expected = None
        try:
            found: Pairs | None = pairs(ours.decode(block).fields)
        except ProtocolError:
            found = None
        if found is None:
            assert expected is None or _is_stricter(block)
            return
        assert found == expected


def _is_stricter(block: bytes) -> bool:
    """Return True where we refuse more: integers of more than four further octets, and more than two updates."""
    return any(octet >= 0x80 for octet in block) or sum(octet >> 5 == 1 for octet in block) > 2


@given(_FIELDS)
def test_the_oracle_decodes_what_is_encoded_here_without_any_state(fields: Pairs) -> None:
    block = NO_TABLE + b"".join(encode_field(name, value) for name, value in fields)
    oracle = hpack.Decoder()
    for _ in range(2):
        assert oracle.decode(block, raw=True) == fields
    assert len(oracle.header_table.dynamic_entries) == 0
    assert pairs(decoder().decode(block).fields) == fields


@pytest.mark.parametrize("name", [b"authorization", b"cookie", b"set-cookie", b"proxy-authorization"])
def test_a_secret_is_never_indexed_on_its_next_hop(name: bytes) -> None:
    assert encode_field(name, b"secret")[0] & 0xF0 == 0x10
    (decoded,) = hpack.Decoder().decode(encode_field(name, b"secret"), raw=True)
    assert isinstance(decoded, hpack.NeverIndexedHeaderTuple)


def test_a_field_that_no_hop_may_index_stays_so_though_our_table_would_have_it() -> None:
    block = b"\x12\x03GET" + b"\x10\x01a\x01b"  # never indexed: `:method: GET` and `a: b`
    first, second = decoder().decode(block).fields
    assert (first.never, second.never) == (True, True)
    assert first.encoded() + second.encoded() == block
    (third,) = decoder().decode(b"\x40\x01a\x01b").fields
    assert third.encoded() == b"\x00\x01a\x01b"


@given(st.binary(max_size=64))
def test_every_string_in_huffman_code_is_read_as_by_the_oracle(octets: bytes) -> None:
    block = hpack.Encoder().encode([(b"a", octets)], huffman=True)
    assert pairs(decoder().decode(block).fields) == [(b"a", octets)]


REFUSED = {
    "index 0": b"\x80",
    "an index in no table": b"\xbe",
    "a name in no table": b"\x7e\x01a",
    "a block that ends in a name": b"\x00\x05abc",
    "a block that ends in an integer": b"\xff",
    "a block that ends in a value": b"\x00\x01a\x04b",
    "an integer of six further octets": b"\xff\x80\x80\x80\x80\x80\x01",
    "a string of 2^28 bytes": b"\x00\x7f\x81\xff\xff\x7f",
    "an update of the table's size behind a field": b"\x82\x20",
    "three updates": b"\x20\x20\x20",
    "an update beyond 4,096": b"\x3f\xe2\x1f",
    "padding of eight bits": b"\x00\x01a\x82\x1f\xff",
    "padding of zeros": b"\x00\x01a\x81\x18",
    "the end of string (EOS)": b"\x00\x01a\x84\xff\xff\xff\xfc",
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_block_that_is_no_hpack_ends_the_connection(what: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decoder().decode(REFUSED[what])
    assert caught.value.code == COMPRESSION_ERROR


def test_a_field_larger_than_the_table_empties_it() -> None:
    ours = decoder()
    ours.decode(b"\x40\x01a\x01b")
    large = ours.decode(b"\x40\x01c" + encode_integer(4096, 7, 0) + b"x" * 4096)
    assert len(large.fields[0].value) == 4096
    with pytest.raises(ProtocolError):
        ours.decode(b"\xbe")


def test_a_repeated_block_gives_the_same_fields_until_the_table_changes() -> None:
    ours = decoder()
    ours.decode(b"\x40\x01a\x01b")
    first = ours.decode(b"\xbe\x82")
    assert ours.decode(b"\xbe\x82") is first
    ours.decode(b"\x40\x01a\x01c")
    again = ours.decode(b"\xbe\x82")
    assert again is not first
    assert pairs(again.fields) == [(b"a", b"c"), (b":method", b"GET")]
    ours.decode(b"\x20")
    with pytest.raises(ProtocolError):
        ours.decode(b"\xbe\x82")


def _literal(name: bytes, value: bytes, first: int = 0) -> bytes:
    return bytes([first, len(name)]) + name + encode_integer(len(value), 7, 0) + value


def _names(count: int) -> list[bytes]:
    return [b"%c%c" % (97 + number % 26, 97 + number // 26) for number in range(count)]


_REQUEST = bytes([0x82, 0x86, 0x84, 0x01, 1]) + b"a"  # GET http://a/
_INSERTED = [_literal(name, b"00", 0x40) for name in _names(113)]  # 36 bytes each: they fill the table
_MANY_LARGE = [_REQUEST + _literal(b"x%d" % number, b"v" * 230) for number in range(16)]
_MANY_SMALL = [  # 48 times Age, whose name needs no byte
    _REQUEST + b"".join(bytes([0x0F, 6, 2]) + name for name in _names(48 + number)[number:]) for number in range(16)
]
_MANY_INDEXED = [_REQUEST + _literal(b"x", b"%d" % number) + bytes(range(0xBE, 0xBE + 40)) for number in range(16)]


@pytest.mark.parametrize(
    "blocks",
    [_INSERTED, _MANY_LARGE, _MANY_SMALL, [b"".join(_INSERTED[:60]), *_MANY_INDEXED], [*_INSERTED, *_MANY_SMALL]],
    ids=["table", "large blocks", "small fields", "indexed fields", "table and small fields"],
)
def test_the_table_and_the_memo_take_no_more_memory_than_their_bound_whatever_the_peer_sends(
    blocks: list[bytes],
) -> None:
    connection = decoder()

    def send() -> None:
        """Send the blocks as requests to four endpoints, so that each field and each head has all its forms."""
        for block in blocks:
            decoded = connection.decode(block)
            for field in decoded.fields:
                assert field.line()
                assert field.encoded()
            if block.startswith(_REQUEST):
                decoded.request = check_request(decoded.fields)
                request = Http2Request(decoded.request, CombinedEdits(), 0)
                request.head(b"a")
                for number in range(4):
                    request.block(b"http", b"10.0.0.%d:8080" % number)

    send()  # what the process keeps for all connections
    tracemalloc.start()
    try:
        connection = decoder()
        send()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken <= STATE


def test_ten_calls_that_are_repeated_by_turns_are_all_kept() -> None:
    ours, oracle = decoder(), hpack.Encoder()
    agent = [(b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"user-agent", b"grpc-go/1.64.0")]
    calls = [
        [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"orders:50051"), *agent, (b":path", path)]
        for path in (b"/shop.Orders/Method%d" % number for number in range(10))
    ]
    for fields in calls:
        ours.decode(oracle.encode(fields))  # from the second time on nothing is inserted any more
    repeated = [oracle.encode(fields) for fields in calls]
    first = [ours.decode(block) for block in repeated]
    assert len(set(map(id, first))) == 10
    assert [ours.decode(block) for block in repeated] == first  # the same objects


def test_the_memo_and_the_cache_of_strings_are_bounded() -> None:
    ours = decoder()
    for number in range(3000):
        ours.decode(b"\x00\x01a" + encode_integer(5, 7, 0) + b"%05d" % number)
        huffman.decode(hpack.Encoder().encode([(b"a", b"%05d" % number)], huffman=True)[4:])
    assert len(ours._memo) <= 16
    assert len(huffman._cache) <= 512


@pytest.mark.parametrize(("count", "size"), [(4, 1000), (100, 100)])
def test_fields_beyond_the_limit_are_not_kept_and_far_beyond_it_the_connection_ends(count: int, size: int) -> None:
    ours = Decoder(size, count)
    fine = ours.decode(b"\x82" * 2)
    assert not fine.is_too_large
    few = min(count, size // 42)  # `:method: GET` counts 42
    large = ours.decode(b"\x40\x01a\x01b" + b"\x82" * few)
    assert large.is_too_large
    assert pairs(ours.decode(b"\xbe").fields) == [(b"a", b"b")]  # the table has followed
    with pytest.raises(ProtocolError) as caught:
        ours.decode(b"\x82" * (2 * few + 2))
    assert caught.value.code == ENHANCE_YOUR_CALM

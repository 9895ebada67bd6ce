"""Compression, compared with the decoders of other libraries."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import cramjam
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.sinks.encodings.compression import compressor, snappy

_BLOCKS = st.lists(
    st.binary(max_size=300) | st.sampled_from([b"", b"a line of a log\n" * 9000, bytes(200_000)]), max_size=5
)
_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": lambda data: zlib.decompress(data, 31),
    "zstd": zstd.decompress,
}


@pytest.mark.parametrize("coding", _DECODERS)
@given(_BLOCKS)
def test_what_was_compressed_block_by_block_is_the_whole_again(coding: str, blocks: Sequence[bytes]) -> None:
    assert _DECODERS[coding](b"".join(compressor(coding)(blocks))) == b"".join(blocks)


@given(_BLOCKS)
def test_snappy_blocks_are_one_stream(blocks: Sequence[bytes]) -> None:
    assert bytes(cramjam.snappy.decompress_raw(b"".join(snappy(blocks)))) == b"".join(blocks)

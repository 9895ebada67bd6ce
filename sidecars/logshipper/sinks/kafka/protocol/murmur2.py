"""The partition of a key, as Kafka's Java producer computes it: murmur2, 32 bits, seed 0x9747b28c. Pure.

All producers of a topic must agree, or the records of one key are in two partitions. librdkafka's default is another
function (`consistent_random`); its `murmur2_random` is this one.
"""

from __future__ import annotations

import struct
from functools import lru_cache

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return the hash of the bytes, from 0 to 2**32 - 1."""
    whole = len(data) & ~3
    found = _SEED ^ len(data)
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        mixed = word * _M & _MASK
        mixed = (mixed ^ mixed >> 24) * _M & _MASK
        found = (found * _M & _MASK) ^ mixed
    if whole < len(data):
        found = (found ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    found = (found ^ found >> 13) * _M & _MASK
    return found ^ found >> 15


@lru_cache(maxsize=4096)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a record with this key, of a topic with so many."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions

"""The names of objects: their order is that of their first events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.sinks.s3.object_keys import FirstEvent, object_key

_TIMES = st.integers(0, 2**62) | st.integers(1_796_018_400_000_000_000, 1_796_018_401_000_000_000)
_EVENTS = st.tuples(_TIMES, st.integers(0, 10**14))


@given(st.lists(_EVENTS, min_size=2, max_size=6, unique=True), st.text("0123456789abcdef", min_size=16, max_size=16))
def test_the_names_of_objects_of_one_file_are_in_the_order_of_times_and_offsets(
    events: list[tuple[int, int]], key: str
) -> None:
    names = [
        object_key("logs/", "", FirstEvent("f00d", offset, at), key[::-1] if at % 2 else key, "gzip")
        for at, offset in sorted(events)
    ]
    assert names == sorted(names)
    assert len(set(names)) == len(names)


def test_a_name_has_the_time_of_the_first_event_its_file_its_place_and_the_batch() -> None:
    first = FirstEvent("f00d", 81_920, 1_796_018_400_104_730_000)
    name = object_key("logs/", "shop/", first, "6e2b4c1f90aa37d5" + "0" * 16, "zstd")
    assert name == "logs/shop/20261130T060000.104730000Z-f00d-000000000081920-6e2b4c1f90aa37d5.ndjson.zst"

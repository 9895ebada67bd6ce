"""Watch streams in the form in which an API server sends them, with all that it adds to a slice.

They are written by hand after https://kubernetes.io/docs/reference/using-api/api-concepts/, not recorded.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecars.ambassador.discovery.kubernetes import documents
from sidecars.ambassador.discovery.kubernetes.documents import WatchLines
from sidecars.ambassador.discovery.kubernetes.selection import Wanted, choose_endpoints
from sidecars.ambassador.discovery.kubernetes.slice_table import SliceTable, VersionGone

STREAMS = Path(__file__).parent / "streams"


def choices(name: str, *, zone: str = "", piece: int = 1 << 20) -> list[list[str]]:
    """Return the last parts of the addresses that are chosen after each event, of a body that comes in pieces."""
    body = (STREAMS / name).read_bytes()
    table, lines, found = SliceTable(), WatchLines(), []
    for begin in range(0, len(body), piece):
        for line in lines.cut(body[begin : begin + piece]):
            table.apply(documents.parse(line))
            chosen = choose_endpoints(table.slices.values(), Wanted("orders.shop", 8080, zone=zone))
            found.append([each.ip.removeprefix("10.244.") for each in chosen.addresses])
    return found


@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
def test_a_rolling_update_uses_each_pod_from_ready_to_terminating(piece: int) -> None:
    assert choices("rolling_update.jsonl", piece=piece) == [
        ["1.17", "2.9"],
        ["1.17", "2.9"],
        ["1.17", "2.9"],
        ["1.17", "2.9", "1.23"],
        ["2.9", "1.23"],
        ["2.9", "1.23"],
        ["2.9", "1.23", "2.31"],
        ["2.9", "1.23", "2.31"],
        ["1.23", "2.31"],
        ["1.23", "2.31"],
    ]


def test_requests_stay_in_the_zone_while_each_zone_has_an_endpoint() -> None:
    in_b = choices("rolling_update.jsonl", zone="eu-west-1b")
    assert in_b[0] == ["2.9"]
    assert in_b[-1] == ["2.31"]
    assert all(in_b)


def test_an_endpoint_that_moves_to_another_slice_is_never_missing() -> None:
    found = choices("a_slice_is_split_and_merged.jsonl")
    assert all("1.23" in each for each in found)
    assert sorted(found[1]) == ["1.17", "1.23", "2.31", "2.9"]
    assert sorted(found[-1]) == ["1.17", "1.23", "2.31"]


def test_the_last_pod_serves_until_it_is_gone() -> None:
    assert choices("the_last_pod_leaves.jsonl") == [["1.17"], ["1.17"], [], [], []]


def test_an_expired_version_ends_the_stream() -> None:
    with pytest.raises(VersionGone):
        choices("the_version_has_expired.jsonl")

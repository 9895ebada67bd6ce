"""The slices of a Service, by a list and the events of a watch."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.ambassador.discovery.kubernetes import documents
from sidecars.ambassador.discovery.kubernetes.backoff import Backoff
from sidecars.ambassador.discovery.kubernetes.documents import LARGEST, TooLarge, UnusableDocument, WatchLines
from sidecars.ambassador.discovery.kubernetes.slice_table import SliceTable, VersionGone, WatchFailed
from tests.ambassador.api_server import endpoint, endpoint_slice


def event(kind: str, name: str, *ips: str, version: str = "7") -> dict[str, Any]:
    made = endpoint_slice(name, map(endpoint, ips), 80)
    made["metadata"]["resourceVersion"] = version
    return {"type": kind, "object": made}


def known(table: SliceTable) -> dict[str, list[str]]:
    return {name: [each.ip for each in one.endpoints] for name, one in table.slices.items()}


def test_events_add_replace_and_delete_slices_and_each_moves_the_version() -> None:
    table = SliceTable()
    assert table.apply(event("ADDED", "a", "10.0.0.1", version="5"))
    assert table.apply(event("MODIFIED", "a", "10.0.0.2", version="6"))
    assert table.apply(event("ADDED", "b", "10.0.0.3", version="8"))
    assert known(table) == {"a": ["10.0.0.2"], "b": ["10.0.0.3"]}
    assert table.apply(event("DELETED", "a", version="9"))
    assert known(table) == {"b": ["10.0.0.3"]}
    assert table.resource_version == "9"


def test_an_event_that_says_the_same_again_changes_nothing() -> None:
    """The controller writes a slice anew for each annotation."""
    table = SliceTable()
    table.apply(event("ADDED", "a", "10.0.0.1"))
    assert not table.apply(event("MODIFIED", "a", "10.0.0.1", version="8"))
    assert not table.apply(event("DELETED", "other", version="9"))
    assert table.resource_version == "9"


def test_a_bookmark_moves_the_version_alone() -> None:
    table = SliceTable()
    table.apply(event("ADDED", "a", "10.0.0.1"))
    assert not table.apply({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "99"}}})
    assert table.resource_version == "99"
    assert known(table) == {"a": ["10.0.0.1"]}


def test_a_list_replaces_everything_at_once() -> None:
    table = SliceTable()
    table.apply(event("ADDED", "a", "10.0.0.1"))
    page = {"kind": "EndpointSliceList", "items": [event("", "b", "10.0.0.2")["object"]]}
    table.replace(table.parse_page(page), "50")
    assert known(table) == {"b": ["10.0.0.2"]}
    assert table.resource_version == "50"


def test_an_expired_version_is_forgotten_and_the_slices_stay() -> None:
    table = SliceTable()
    table.apply(event("ADDED", "a", "10.0.0.1"))
    with pytest.raises(VersionGone):
        table.apply({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})
    assert table.resource_version == ""
    assert known(table) == {"a": ["10.0.0.1"]}
    with pytest.raises(WatchFailed) as failed:
        table.apply({"type": "ERROR", "object": {"code": 500}})
    assert failed.value.status == 500


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({}, "without an object"),
        ({"type": "ADDED", "object": []}, "without an object"),
        ({"type": "SURPRISE", "object": {}}, "unknown type"),
        ({"type": "ADDED", "object": {"metadata": {"name": "a"}}}, "without a resource version"),
        ({"type": "ADDED", "object": {"metadata": {"resourceVersion": "1"}}}, "without a name"),
        ({"type": "ADDED", "object": {"metadata": {"name": "a", "resourceVersion": "1\r\nX"}}}, "resource version"),
    ],
)
def test_an_event_that_makes_no_sense_is_refused_and_changes_nothing(broken: dict[str, Any], why: str) -> None:
    table = SliceTable()
    table.apply(event("ADDED", "a", "10.0.0.1"))
    with pytest.raises(UnusableDocument, match=why):
        table.apply(broken)
    assert known(table) == {"a": ["10.0.0.1"]}
    assert table.resource_version == "7"


@pytest.mark.parametrize("page", [{}, {"kind": "PodList", "items": []}, {"kind": "EndpointSliceList", "items": {}}])
def test_another_document_than_a_list_of_slices_is_refused(page: dict[str, Any]) -> None:
    with pytest.raises(UnusableDocument):
        SliceTable().parse_page(page)


def test_a_service_has_at_most_ten_thousand_endpoints() -> None:
    table = SliceTable()
    many = [f"10.{n // 250}.0.{n % 250}" for n in range(1000)]
    for number in range(10):
        table.apply(event("ADDED", f"a{number}", *many))
    with pytest.raises(TooLarge, match="more than 10,000 endpoints"):
        table.apply(event("ADDED", "b", "10.0.0.1"))
    assert len(table.slices) == 10


# -- documents ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [b"", b"no", b"[]", b"7", b"\xff\xfe", b"{" * 5000, b'{"a":' * 40_000, b'{"a":' + b"9" * 5000 + b"}"]
)
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(UnusableDocument):
        documents.parse(text)


@pytest.mark.parametrize("text", [b'{"a":"' + b"x" * LARGEST + b'"}', b'{"a":[' + b"[]," * 60_000 + b"0]}"])
def test_a_document_of_too_many_bytes_or_values_is_not_parsed(text: bytes) -> None:
    with pytest.raises(TooLarge):
        documents.parse(text)


def test_a_page_of_the_largest_slices_is_within_the_limits() -> None:
    made = [endpoint(f"10.0.{n // 250}.{n % 250}", "zone-a") for n in range(1000)]
    for each in made:
        each["targetRef"] = {"kind": "Pod", "namespace": "shop", "name": "orders-7d4f8bb5c-x2x4x", "uid": "u" * 36}
    items = [endpoint_slice(f"orders-{n}", made, 8080) for n in range(4)]
    text = json.dumps({"kind": "EndpointSliceList", "items": items}, separators=(",", ":")).encode()
    assert len(SliceTable().parse_page(documents.parse(text))) == 4


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line and bool(line.strip()))), st.data())
def test_the_lines_of_a_watch_are_the_same_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    body = b"".join(line + b"\n" for line in lines) + b"unfinished"
    cutter, found = WatchLines(), []
    while body:
        size = data.draw(st.integers(1, len(body)))
        found += cutter.cut(body[:size])
        body = body[size:]
    assert found == lines


def test_a_line_without_an_end_is_given_up_whatever_its_pieces_are() -> None:
    for piece in (b"x" * 65_536, b"xy" * 100):
        cutter = WatchLines()
        for _ in range(LARGEST // len(piece)):
            assert cutter.cut(piece) == []
        assert len(cutter._parts) <= 1025
        with pytest.raises(TooLarge):
            cutter.cut(piece)


def test_pauses_double_up_to_half_a_minute_with_jitter_and_begin_again_after_a_success() -> None:
    without, most = Backoff(lambda: 0.0), Backoff(lambda: 1.0)
    assert [without.next_pause() for _ in range(10)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    assert [most.next_pause() for _ in range(3)] == [0.1, 0.2, 0.4]
    without.succeeded()
    assert without.next_pause() == 0.2
    assert without.next_pause(asked=5.0) == 5.0
    assert without.next_pause(asked=1e9) == 120.0


# -- resumption ---------------------------------------------------------------------------------------------------

kinds = st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK"])
histories = st.lists(st.tuples(kinds, st.sampled_from("abc"), st.integers(1, 9)), max_size=12)


@given(histories, st.lists(st.integers(0, 12), max_size=4))
def test_a_watch_that_is_resumed_anywhere_ends_with_what_the_api_server_has(
    history: list[tuple[str, str, int]], breaks: list[int]
) -> None:
    """The events from the last version on come again or for the first time: either way the end is the same."""
    events = [event(kind, name, f"10.0.0.{ip}", version=str(n)) for n, (kind, name, ip) in enumerate(history, 1)]
    straight, resumed = SliceTable(), SliceTable()
    for each in events:
        straight.apply(each)
    for until in [*breaks, len(events)]:
        begin = int(resumed.resource_version or "0")
        for each in events[begin:until]:
            resumed.apply(each)
    assert known(resumed) == known(straight)
    assert resumed.resource_version == straight.resource_version


@given(
    st.lists(st.sampled_from([b"{", b"}", b'"type"', b":", b'"ADDED"', b",", b'"object"', b"[]", b"1"]), max_size=12)
)
def test_no_line_ends_in_another_way_than_by_a_refusal(parts: list[bytes]) -> None:
    with contextlib.suppress(UnusableDocument):
        SliceTable().apply(documents.parse(b"".join(parts)))

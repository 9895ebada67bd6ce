"""A batch in flight at a change of the settings or of the version: it is stored under its first keys, and so once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sidecars.logshipper.sinks.s3.object_keys import known_keys
from tests.logshipper.opened_sinks import opened
from tests.logshipper.packed_batches import packed
from tests.logshipper.receivers.object_store import ObjectStore

_LINES = [{"time": f"2026-11-30T0{number // 3}:00:00Z", "tenant": "ab"[number % 2], "n": number} for number in range(9)]
_TEXT = "".join(f"{json.dumps(line)}\n" for line in _LINES)
_END = "20261130T060000.104730000Z-f00d-000000000081920-6e2b4c1f90aa37d5.ndjson.gz"


@pytest.fixture(params=[("if-none-match", "x-amz-checksum-sha256"), ()], ids=["conditions", "overwrites"])
def store(request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    made = ObjectStore(knows=request.param)
    yield made
    made.close()
    assert made.wrong == []


async def store_once(
    store: ObjectStore,
    note: Any,
    sink: dict[str, str],
    inputs: dict[str, Any],
    *texts: str,
    is_whole: bool = True,
    url: str = "s3://logs/pre",
) -> Any:
    """Store the lines as a process with these settings does, and return the note that is in its journal."""
    async with opened(url, **store.settings(**sink)) as made:
        batch = await packed(made, *(texts or (_TEXT,)), note=note, is_whole=is_whole, **inputs)
        await made.deliver(batch)
        return json.loads(json.dumps(batch.pack.note(batch.key)))


def numbers(store: ObjectStore) -> list[int]:
    return sorted(record["n"] if "n" in record else json.loads(record["message"])["n"] for record in store.records())


_JSON: dict[str, Any] = {"LOGSHIPPER_FORMAT": "json", "LOGSHIPPER_TIME_KEY": "time"}
_OTHERS: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({"sink_object_key": "{pod}/%j/"}, _JSON),
    ({"compression": "zstd", "sink_content_encoding": "true"}, _JSON),
    ({"compression": "none"}, _JSON),
    ({}, {**_JSON, "POD_NAME": "shop-1"}),
]


@pytest.mark.parametrize(("sink", "inputs"), [*_OTHERS, ({}, {}), ({"sink_object_key": "{tenant}/"}, {})])
async def test_one_object_stays_one_whatever_is_set_anew(
    store: ObjectStore, sink: dict[str, str], inputs: dict[str, Any]
) -> None:
    first = await store_once(store, None, {"sink_object_key": "%Y/"}, _JSON)
    keys = [*store.objects]
    assert first["keys"] == keys
    again = await store_once(store, first, sink, inputs)
    assert again["keys"] == keys
    assert [*store.objects] == keys
    assert numbers(store) == list(range(9))


@pytest.mark.parametrize(("sink", "inputs"), _OTHERS)
async def test_several_objects_stay_those_if_fields_and_times_are_the_same(
    store: ObjectStore, sink: dict[str, str], inputs: dict[str, Any]
) -> None:
    template = {"sink_object_key": "{tenant}/%H/"}
    first = await store_once(store, None, template, _JSON)
    keys = [*store.objects]
    assert len(keys) == 6
    again = await store_once(store, first, {**template, **sink}, inputs)
    assert sorted(again["keys"]) == sorted(keys)
    assert sorted(store.objects) == sorted(keys)
    assert numbers(store) == list(range(9))


async def test_objects_that_were_not_stored_yet_are_made_under_their_first_names(store: ObjectStore) -> None:
    template = {"sink_object_key": "{tenant}/%H/"}
    async with opened("s3://logs/pre", **store.settings(**template)) as sink:
        batch = await packed(sink, _TEXT, **_JSON)
        note = batch.pack.note(batch.key)
    await store_once(store, note, {}, _JSON)
    assert sorted(store.objects) == sorted(note["keys"])
    assert numbers(store) == list(range(9))


async def test_another_prefix_or_bucket_gets_the_whole_batch_that_an_earlier_process_may_have_stored(
    store: ObjectStore,
) -> None:
    first = await store_once(store, None, {}, _JSON)
    moved = await store_once(store, first, {}, _JSON, url="s3://logs/new")
    assert {key.partition("/")[0] for key in moved["keys"]} == {"new"}
    assert numbers(store) == sorted([*range(9), *range(9)])
    other = ObjectStore()
    try:
        await store_once(other, first, {}, _JSON)
        assert numbers(other) == list(range(9))
    finally:
        other.close()


@pytest.mark.parametrize("stored", [0, 1, 2])
@pytest.mark.parametrize("moved", [1, 4, 5, 8])
async def test_no_line_is_lost_if_other_settings_move_it_to_an_object_that_is_stored(
    store: ObjectStore, stored: int, moved: int
) -> None:
    hours = [{**line, "ts": line["time"]} for line in _LINES]
    hours[moved]["ts"] = hours[(moved + 3) % 9]["time"]
    text = "".join(f"{json.dumps(line)}\n" for line in hours)
    first = await store_once(store, None, {"sink_object_key": "%H/"}, _JSON, text)
    for key in first["keys"][stored:]:
        del store.objects[key]
    await store_once(store, first, {"sink_object_key": "%H/"}, {**_JSON, "LOGSHIPPER_TIME_KEY": "ts"}, text)
    assert sorted(set(numbers(store))) == list(range(9))


async def test_the_rest_of_a_batch_of_which_a_part_is_gone_takes_no_line_from_the_object(store: ObjectStore) -> None:
    half = _TEXT[: len(_TEXT) // 9 * 5]
    first = await store_once(store, None, {}, {}, half, _TEXT[len(half) :])
    rest = await store_once(store, first, {}, {}, half, is_whole=False)
    assert rest["keys"] != first["keys"]
    assert sorted(set(numbers(store))) == list(range(9))


@pytest.mark.parametrize(
    "note",
    [
        None,
        [],
        {"template": "", "keys": []},
        {"template": "", "keys": [7]},
        {"template": 7, "keys": [f"pre/{_END}"]},
        {"template": "{", "keys": [f"pre/{_END}"]},
        {"template": "", "keys": [_END]},
        {"template": "", "keys": [f"pre/a/../{_END}"]},
        {"template": "", "keys": [f"pre/a\n/{_END}"]},
        {"template": "", "keys": [f"pre/{'x' * 1024}{_END}"]},
        {"template": "", "keys": ["pre/a.ndjson.gz"]},
        {"template": "", "keys": [f"pre/{_END}x"]},
        {"template": "", "keys": [f"pre/a/{_END}", f"pre/a/{_END}"]},
        {"template": "", "keys": [f"pre/a/{_END}", f"pre/b/{_END[:-3]}"]},
    ],
)
def test_a_note_that_is_none_of_ours_below_the_prefix_says_nothing(note: Any) -> None:
    assert known_keys(note, "pre/") is None
    assert known_keys({"template": "", "keys": [f"pre/a/{_END}"]}, "pre/") is not None

"""The names of targets: what a template takes from events, and what the app cannot do by its values."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.batch import Batch
from sidecars.logshipper.model.field_columns import JsonObjects, Table
from sidecars.logshipper.model.records import Records
from sidecars.logshipper.sinks.encodings import target_names
from sidecars.logshipper.sinks.encodings.target_names import TargetTemplate, clean_index, clean_topic, clean_value
from tests.logshipper.support import a_batch, a_chunk

SECOND = 10**9
HOUR = 3600 * SECOND
AT = 1_796_000_400 * SECOND  # 2026-11-30T01:00:00Z


def batch_of(values: list[Any], at: int = AT, **columns: Any) -> Batch:
    """Return a batch with an event for each value, which is its field `tenant`."""
    batch = a_batch(a_chunk(b"x\n" * len(values)), pod="shop-1", namespace="prod")
    fields = [{"tenant": value, "user": {"id": value}, "pod": "forged"} for value in values]
    records = replace(batch.records[0], fields=fields, **columns)
    return Batch("default", (records,), at=at)


def names(text: str, batch: Batch, **options: Any) -> list[str]:
    return TargetTemplate(text, **options).names(batch)


def test_the_time_is_that_of_the_event_in_utc_or_else_that_of_the_batch() -> None:
    late = AT - 30 * HOUR
    batch = batch_of(["a", "b", "c"], times=[AT, None, late])
    assert names("logs-%Y.%m.%d", batch) == ["logs-2026.11.30", "logs-2026.11.30", "logs-2026.11.28"]
    assert names("%F/%H", batch) == ["2026-11-30/01", "2026-11-30/01", "2026-11-28/19"]
    assert names("%Y%m%dT%H%M%S", batch_of(["a"], at=AT + 61 * SECOND + 5)) == ["20261130T010101"]
    assert names("%j-%G-W%V-%u 100%%", batch_of(["a"])) == ["334-2026-W49-1 100%"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{namespace}/{pod}", "prod/shop-1"),
        ("{tenant}-{user.id}", "Blue-Blue"),
        ("{file}.{input}", "a_d.log.default"),
        ("{level}", "warn"),
        ("{{{tenant}}}", "{Blue}"),
        ("{no.such}", "unknown"),
        ("{user}", "unknown"),
        ("constant", "constant"),
    ],
)
def test_a_field_is_a_label_or_what_the_app_wrote(text: str, name: str) -> None:
    assert names(text, batch_of(["Blue"], levels=["[WARNING]"])) == [name]


def test_the_apps_field_never_replaces_that_of_the_pod() -> None:
    assert names("{pod}", batch_of(["x"])) == ["shop-1"]


def test_the_key_of_the_batch_is_a_name() -> None:
    batch = batch_of(["x", "y"])
    assert names("{batch_key}", batch) == [batch.key] * 2


@pytest.mark.parametrize("columns", [list, "table", "json"])
def test_fields_are_found_in_each_form_of_columns(columns: Any) -> None:
    batch = batch_of(["a", "b"])
    forms = {
        "table": Table(("tenant",), [("a",), ("b",)]),
        "json": JsonObjects(['{"tenant":"a"}', '{"tenant":"b"}'], {}),
    }
    fields = forms.get(columns, batch.records[0].fields)
    batch = Batch("default", (replace(batch.records[0], fields=fields),), at=AT)
    assert names("t-{tenant}", batch) == ["t-a", "t-b"]


def test_a_literal_key_with_a_dot_comes_before_the_path() -> None:
    batch = batch_of(["a"])
    records = replace(batch.records[0], fields=[{"log.level": "flat", "log": {"level": "nested"}}])
    assert names("{log.level}", Batch("default", (records,), at=AT)) == ["flat"]
    nested = replace(batch.records[0], fields=[{"log": {"level": "nested", "a": {"b.c": 5}}}])
    assert names(r"{log.level}{log.a.b\.c}{log\.level}", Batch("default", (nested,), at=AT)) == ["nested5unknown"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("%Q", "expected a template with %Y"),
        ("a%", "% is not"),
        ("{a", "names of fields in {braces}"),
        ("a}", "names of fields in {braces}"),
        ("{}", "the name of a field in {braces}"),
        ("{a b}", "without spaces"),
        ("{id}", "each event would have a name of its own"),
        ("{time}", "%Y-%m-%d"),
        ("{a}" * 5, "have up to 315"),
    ],
)
def test_a_wrong_template_is_told_in_a_sentence(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        TargetTemplate(text, longest=255)


# -- what the app may choose -----------------------------------------------------------------------------------------

HOSTILE = st.one_of(
    st.text(max_size=300),
    st.sampled_from(
        [".", "..", "...", "../../etc", "/", "\0", "-x", "_x", "+x", "A", "%d", "{pod}", "", None, 1.5, True]
    ),
    st.lists(st.text(max_size=3), max_size=2),
    st.integers(-(2**63), 2**63),
)


@pytest.mark.parametrize(
    ("clean", "form"),
    [
        (clean_value, r"[A-Za-z0-9._=-]{1,63}"),
        (clean_topic, r"[A-Za-z0-9._-]{1,63}"),
        (clean_index, r"[a-z0-9][a-z0-9._-]{0,62}"),
    ],
)
@given(value=HOSTILE, other=HOSTILE)
def test_a_value_never_leaves_its_place(clean: target_names.Clean, form: str, value: Any, other: Any) -> None:
    for name in names("logs/{tenant}", batch_of([value, other]), clean=clean):
        prefix, _, last = name.partition("/")
        assert prefix == "logs"
        assert re.fullmatch(form, last)
        assert set(last) != {"."}


def test_ten_thousand_hostile_values_make_a_hundred_targets() -> None:
    template = TargetTemplate("logs/{tenant}/%Y", clean=clean_value)
    values = [f"../{number}/\0{'x' * (number % 300)}" for number in range(10_000)]
    found = {name for at in range(0, 10_000, 500) for name in template.names(batch_of(values[at : at + 500]))}
    assert len(found) == 100
    assert all(re.fullmatch(r"logs/[A-Za-z0-9._=-]+/2026|logs/overflow", name) for name in found)
    assert template.overflowed == 10_000 - 99


def test_hostile_times_are_bounded_as_well() -> None:
    template = TargetTemplate("logs-%Y.%m.%d", clean=clean_index)
    found = set(template.names(batch_of(["x"] * 5000, times=[number * 24 * HOUR for number in range(5000)])))
    assert len(found) == 100
    assert "logs-overflow" in found


def test_the_next_hour_has_targets_of_its_own() -> None:
    template = TargetTemplate("{tenant}", most=3)
    assert template.names(batch_of(["a", "b", "c"])) == ["a", "b", "overflow"]
    assert template.names(batch_of(["c", "d", "e"], AT + HOUR)) == ["c", "d", "overflow"]
    assert template.names(batch_of(["a", "b", "c"])) == ["a", "b", "overflow"]


def test_an_event_that_calls_itself_overflow_goes_there() -> None:
    template = TargetTemplate("{tenant}", most=2)
    assert template.names(batch_of(["a", "overflow", "b"])) == ["a", "overflow", "overflow"]


# -- after kill -9 ---------------------------------------------------------------------------------------------------

_BATCHES = st.lists(st.tuples(st.lists(st.sampled_from("abcdefgh"), min_size=1), st.booleans()), max_size=8)


@given(batches=_BATCHES, settled=st.integers(0, 8), later=st.integers(0, 8))
def test_batches_that_are_sent_again_go_to_the_same_targets(
    batches: list[tuple[list[str], bool]], settled: int, later: int
) -> None:
    """The receipt of any moment between the last settled batch and the last one that was sent will do."""
    at, made = AT, []
    for values, new_hour in batches:
        at += HOUR if new_hour else 0
        made.append(batch_of(values, at))
    first = TargetTemplate("{tenant}", most=4)
    receipts, sent = [dict(first.receipt)], []
    for batch in made:
        sent.append(first.names(batch))
        receipts.append(dict(first.receipt))
    settled = min(settled, len(made))
    moment = min(settled + later, len(made), settled + 2)  # those in flight
    again = TargetTemplate("{tenant}", most=4)
    again.restore(receipts[moment])
    assert [again.names(batch) for batch in made[settled : settled + 2]] == sent[settled : settled + 2]


@given(values=st.lists(st.sampled_from("abcdefgh"), min_size=2))
def test_the_halves_of_a_batch_go_where_the_whole_went(values: list[str]) -> None:
    template, batch = TargetTemplate("{tenant}", most=4), batch_of(values)
    whole = template.names(batch)
    first, second = batch.halves() or (batch, batch)
    assert template.names(second) == whole[first.events :]
    assert template.names(first) == whole[: first.events]


@pytest.mark.parametrize("receipt", [None, 5, {}, {"targets": 5}, {"targets": "x:y,5:AAA,6:AAAA,-1:"}])
def test_a_receipt_that_is_none_of_ours_is_left_out(receipt: Any) -> None:
    template = TargetTemplate("{tenant}", most=3)
    template.restore(receipt)
    assert template.names(batch_of(["a", "b", "c"])) == ["a", "b", "overflow"]


def test_records_without_events_have_no_names() -> None:
    empty: list[Records] = []
    assert names("{tenant}", Batch("default", tuple(empty), at=AT)) == []

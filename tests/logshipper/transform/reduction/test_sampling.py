"""Sampling: the same choice in each attempt, whole traces, honest counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.logshipper.model.ledger import SAMPLED
from sidecars.logshipper.model.records import Records
from tests.logshipper.pipelines import make_pipeline, processed, records_of, shipped
from tests.logshipper.support import a_chunk

LINES = "".join(f"line {number}\n" for number in range(2000))


def kept(records: Records) -> list[str]:
    return list(records.bodies)


def test_about_one_of_ten_events_is_kept_and_says_so_and_the_others_are_counted() -> None:
    records = records_of(LINES, SAMPLE="10")
    assert 150 < len(records.bodies) < 250
    size, lines = records.dropped[SAMPLED]
    assert (size + sum(records.sizes), lines + len(records.bodies)) == (len(LINES), 2000)
    (first, *_) = shipped(LINES, SAMPLE="10")
    assert first == {"id": f"f00d-{records.offsets[0]}", "sample_rate": 10, "message": records.bodies[0]}


@given(st.lists(st.text("ab é", max_size=5), min_size=1, max_size=30), st.integers(0, 30), st.integers(2, 4))
def test_the_choice_is_the_same_whatever_the_pieces_in_which_the_file_is_read(
    lines: list[str], cut: int, rate: int
) -> None:
    first = "".join(f"{line}\n" for line in lines[:cut]).encode()
    second = "".join(f"{line}\n" for line in lines[cut:]).encode()
    settings = {"SAMPLE": str(rate)}
    whole = kept(processed(a_chunk(first + second), **settings))
    parts = [processed(a_chunk(data, start), **settings) for data, start in ((first, 0), (second, len(first))) if data]
    assert whole == [body for part in parts for body in part.bodies]


def test_another_process_chooses_the_same_events_and_another_generation_others() -> None:
    chunk = a_chunk(LINES.encode())
    one, again = (make_pipeline(SAMPLE="10").process(chunk) for _ in range(2))
    assert kept(one) == kept(again)
    assert kept(make_pipeline(SAMPLE="10").process(replace(chunk, generation="other"))) != kept(one)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["json", "logfmt"])), min_size=1, max_size=60),
    st.sampled_from(["2", "3", "7"]),
)
def test_with_a_key_all_events_of_one_value_are_kept_or_none_in_any_format(
    traces: list[tuple[int, str]], rate: str
) -> None:
    forms = {"json": '{{"m":"x","trace":"t{}"}}\n', "logfmt": "trace=t{} m=x\n"}
    fates: dict[int, set[bool]] = {}
    for form, line in forms.items():
        written = [trace for trace, of in traces if of == form]
        records = records_of("".join(map(line.format, written)) or "\n", FORMAT=form, SAMPLE=rate, SAMPLE_KEY="trace")
        here = [one["trace"] for one in records.fields or () if "trace" in one]
        for trace in written:
            assert here.count(f"t{trace}") in (0, written.count(trace))
            fates.setdefault(trace, set()).add(f"t{trace}" in here)
    assert all(len(fate) == 1 for fate in fates.values())


def test_what_a_large_rate_keeps_a_smaller_one_keeps_too() -> None:
    few, more = (set(kept(records_of(LINES, SAMPLE=rate))) for rate in ("20", "10"))
    assert few < more


@pytest.mark.parametrize(
    ("line", "same"),
    [('{"a":{"trace":5}}', '{"a.trace":"5"}'), ('{"a":{"trace":true}}', '{"a":{"trace":"true","b":1}}')],
)
def test_a_number_and_its_text_are_one_value(line: str, same: str) -> None:
    settings = {"FORMAT": "json", "SAMPLE": "2", "SAMPLE_KEY": "a.trace"}
    assert len(records_of(f"{line}\n", **settings).bodies) == len(records_of(f"{same}\n", **settings).bodies)


def test_the_first_key_that_an_event_has_counts_and_without_one_its_id_does() -> None:
    settings = {"FORMAT": "json", "SAMPLE": "10"}
    both = [f'{{"n":{number},"trace":"{number}","span":"x"}}' for number in range(300)]
    text = "".join(f"{line}\n" for line in both)
    assert kept(records_of(text, SAMPLE_KEY="none,trace,span", **settings)) == kept(
        records_of(text, SAMPLE_KEY="trace", **settings)
    )
    for without in ('{"n":1,"trace":null}\n', "no json at all\n", '{"trace":{"deep":1}}\n', '{"trace":1e999}\n'):
        lines = without * 300
        assert kept(records_of(lines, SAMPLE_KEY="trace", **settings)) == kept(records_of(lines, **settings))


def test_exempt_events_are_always_kept_and_stand_for_themselves_whatever_redaction_makes_of_them() -> None:
    text = "".join(f"line {number} {'ERROR' if number % 100 == 7 else 'INFO'}\n" for number in range(2000))
    records = shipped(text, SAMPLE="10", SAMPLE_EXCEPT=r"\bERROR\b", REDACT="/ERROR/")
    rates = [record["sample_rate"] for record in records]
    assert rates.count(1) == 20
    assert [rate for rate, one in zip(rates, records, strict=True) if "[redacted]" in one["message"]] == [1] * 20
    assert 1400 < sum(rates) < 2600
    assert shipped("a\nb\n", SAMPLE="1000000", SAMPLE_EXCEPT="a|b") == [
        {"id": "f00d-0", "sample_rate": 1, "message": "a"},
        {"id": "f00d-2", "sample_rate": 1, "message": "b"},
    ]


def test_a_field_of_the_app_with_the_name_of_the_rate_gets_an_underscore() -> None:
    settings = {"SAMPLE": "2", "SAMPLE_EXCEPT": "."}
    assert shipped('{"sample_rate":5}\n', FORMAT="json", **settings)[0]["sample_rate_"] == 5
    assert shipped("sample_rate=5\n", FORMAT="logfmt", **settings) == [
        {"id": "f00d-0", "sample_rate": 1, "sample_rate_": "5"}
    ]
    assert shipped("x\n", RENAME="message:sample_rate", **settings)[0]["sample_rate"] == 1


def test_a_piece_of_a_line_that_is_dropped_marks_no_other_event_as_a_piece() -> None:
    for start in range(40):
        records = processed(a_chunk(b"one\ntwo\nthr", start, partial=True), SAMPLE="2")
        assert records.partial == (b"thr".decode() in records.bodies)
        by_key = processed(
            a_chunk(b'{"k":1}\n{"k":2}\n{"k"', start, partial=True), SAMPLE="2", FORMAT="json", SAMPLE_KEY="k"
        )
        assert by_key.partial == ('{"k"' in by_key.bodies)

"""Faults of metrics pages: each with its line, its reason, and the effect of its kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.page_faults import EFFECTS, Fault, FaultKind, MalformedPage
from tests.adapter.pages import parse_openmetrics, parse_text


def first_fault(read: Callable[[str], Exposition], page: str) -> tuple[str, Fault]:
    """Return the effect of the first fault (page, family or taken), and the fault."""
    try:
        exposition = read(page)
    except MalformedPage as refused:
        return "page", refused.fault
    if exposition.dropped:
        return "family", next(iter(exposition.dropped.values()))
    return "taken", exposition.faults.reported[0]


TEXT_MISTAKES = [
    ("up 1", 1, "the last line does not end with a line feed", "final_newline"),
    ("a 1\nup\n", 2, "up has no value", "syntax"),
    ("up one\n", 1, "the value one is not a number", "syntax"),
    ("up 0x1p3\n", 1, "the value 0x1p3 is not a number", "syntax"),
    ("up 1_000\n", 1, "the value 1_000 is not a number", "syntax"),
    ("up +nan\n", 1, "the value +nan is not a number", "syntax"),
    ("up 1e999\n", 1, "the number 1e999 is too large", "value"),
    ("up 1 1.5\n", 1, "expected a timestamp in whole milliseconds and nothing more, but there is 1.5", "syntax"),
    ("up 1 2 3\n", 1, "but there is 2 3", "syntax"),
    ("up 1 99999999999999999999\n", 1, "too large for 64 bits", "value"),
    ("up 1\r\n", 1, "carriage return", "syntax"),
    ("1up 1\n", 1, "expected a metric's name, but there is 1up 1", "syntax"),
    ("up+1\n", 1, "there must be a space before +1", "syntax"),
    ('up{a="1} 1\n', 1, "the labels are not closed", "syntax"),
    ('up{a="1"\n', 1, "the labels are not closed", "syntax"),
    ('up{a="\\d"} 1\n', 1, "a label's value has a backslash that is not escaped", "escape"),
    ("up{a=1} 1\n", 1, 'expected name="value" pairs', "syntax"),
    ('up{a="1" b="2"} 1\n', 1, 'expected name="value" pairs', "syntax"),
    ('up{a="1",,b="2"} 1\n', 1, 'expected name="value" pairs', "syntax"),
    ("up{,} 1\n", 1, 'expected name="value" pairs', "syntax"),
    ('up{a="1",a="2"} 1\n', 1, "the label a stands there twice", "syntax"),
    ('up{"a"="1",a="2"} 1\n', 1, "the label a stands there twice", "syntax"),
    ('up{a:b="1"} 1\n', 1, 'expected name="value" pairs', "syntax"),
    ('up{__name__="x"} 1\n', 1, "__name__", "syntax"),
    ('{a="1"} 1\n', 1, "there is no metric's name", "syntax"),
    (" 1\n", 1, "there is no metric's name", "syntax"),
    ('{""} 1\n', 1, "there is no metric's name", "syntax"),
    ("# TYPE up\n", 1, "the type is missing", "type"),
    ("# TYPE up Gauge\n", 1, "the type Gauge is none of untyped, counter, gauge, summary, histogram", "type"),
    ("# TYPE up gauge really\n", 1, "the type gauge really", "type"),
    ("# TYPE up gauge\n# TYPE up gauge\n", 2, "a second TYPE of up", "metadata"),
    ("# HELP\n", 1, "this describes no metric: it has no name", "metadata"),
    ("# HELP up \\d+ are digits\n", 1, "a backslash that is not escaped", "escape"),
    ("up 1\n# TYPE up gauge\n", 2, "TYPE of up must stand before its samples", "metadata"),
    ('up 1\ndown 1\nup{a="1"} 1\n', 3, "up goes on here, but a metric's lines must stand together", "interleaved"),
    (
        "# TYPE a gauge\n# TYPE b gauge\na 1\n",
        3,
        "a goes on here, but a metric's lines must stand together",
        "interleaved",
    ),
    ("up 1\nup 2\n", 2, "this series of up has come before", "duplicate"),
    ('up{a="1",b="2"} 1\nup{c="1"} 1\nup{ b="2",a="1"} 2\n', 3, "this series of up has come before", "duplicate"),
    ('up{a="1"} 1\nup{a="1",b=""} 2\n', 2, "this series of up has come before", "duplicate"),
    ("# TYPE h histogram\nh 1\n", 2, "h is a histogram: its samples are h_bucket, h_count, h_sum", "type"),
    ("# TYPE h histogram\nh_bucket 1\n", 2, "h_bucket has no label le", "bounds"),
    ('# TYPE h histogram\nh_bucket{le="x"} 1\n', 2, 'the label le="x" is not a number', "bounds"),
    ('# TYPE h histogram\nh_bucket{le="2"} 1\nh_bucket{le="1"} 1\n', 3, "the label le must increase", "bounds"),
    ('# TYPE h histogram\nh_bucket{le="2"} 1\nh_count 1\n', 2, 'h_bucket has no bucket with le="+Inf"', "bounds"),
    ('# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_count 2\n', 2, "h_count is 2", "torn"),
    ("# TYPE h histogram\nh_sum 1\n", 2, 'h_bucket has no bucket with le="+Inf"', "bounds"),
    ("# TYPE s summary\ns 1\n", 2, "s has no label quantile", "bounds"),
    ('# TYPE s summary\ns{quantile="0.9"} 1\ns{quantile="0.5"} 1\n', 3, "the label quantile must increase", "bounds"),
    ("# TYPE s summary\ns_sum 1\ns_sum 2\n", 3, "this series of s_sum has come before", "duplicate"),
    (
        '# TYPE h histogram\nh_bucket{le="+Inf"} 1\n# TYPE h_bucket gauge\nh_bucket 1\n',
        4,
        "samples of h and of h_bucket are called h_bucket",
        "name_clash",
    ),
]


@pytest.mark.parametrize(("page", "line", "why", "kind"), TEXT_MISTAKES)
def test_a_mistake_in_text_is_told_with_its_line_and_has_the_effect_of_its_kind(
    page: str, line: int, why: str, kind: FaultKind
) -> None:
    effect, fault = first_fault(parse_text, page)

    assert (fault.kind, fault.line) == (kind, line)
    assert why in fault.reason
    assert effect == EFFECTS[kind]
    assert str(fault) == f"line {line}: {fault.reason}"


H = "# TYPE h histogram\n"
OPENMETRICS_MISTAKES = [
    ("\nx 1\n", 1, "no empty lines", "syntax"),
    (" x 1\n", 1, "expected a metric's name", "syntax"),
    ("x  1\n", 1, "exactly one space", "syntax"),
    ("x\t1\n", 1, "exactly one space", "syntax"),
    ("x 1 \n", 1, "exactly one space", "syntax"),
    ('x{a="1",} 1\n', 1, 'expected name="value" pairs', "syntax"),
    ('x{ a="1"} 1\n', 1, 'expected name="value" pairs', "syntax"),
    ("x 1 nan\n", 1, "expected a timestamp or an exemplar", "syntax"),
    ("# a note\n", 1, "HELP, TYPE, UNIT or EOF", "syntax"),
    ("# EOF\nx 1\n", 1, "HELP, TYPE, UNIT or EOF", "syntax"),
    ("# TYPE x untyped\n", 1, "the type untyped is none of unknown, counter", "type"),
    ('# HELP x "quoted"\n', 1, "a backslash or a quote that is not escaped", "escape"),
    ("# UNIT x seconds\n", 1, "the unit seconds must be the end of the name x", "metadata"),
    ("# TYPE x_s info\n# UNIT x_s s\n", 2, "cannot have a unit", "metadata"),
    ("# TYPE x counter\nx 1\n", 2, "x is a counter: its samples are x_created, x_total", "type"),
    ("# TYPE x counter\nx_total -1\n", 2, "cannot be negative or NaN", "value"),
    ("# TYPE x counter\nx_total NaN\n", 2, "cannot be negative or NaN", "value"),
    ("# TYPE x counter\nx_created 1\n", 2, "x_total is missing", "torn"),
    ("# TYPE x counter\n# TYPE x_total gauge\n", 3, "the name x_total belongs to another metric already", "metadata"),
    ("# TYPE x_total gauge\n# TYPE x counter\n", 3, "the name x_total belongs to another metric", "metadata"),
    ("x 1\nx 2\n", 2, "this series of x has come before", "duplicate"),
    ("x 1 5\nx 2 5\n", 2, "this series of x has come before", "duplicate"),
    ("x 1 5\nx 2 4\n", 2, "timestamps of a series must increase", "order"),
    ("x 1 1.0000000000000001\nx 2 1.00000000000000001\n", 2, "timestamps of a series must increase", "order"),
    ("x 1 5\nx 2\n", 2, "some samples of this series have a timestamp", "order"),
    ('x{a="1"} 1 5\nx{a="2"} 1 5\nx{a="1"} 1 6\n', 3, "its lines must stand together", "order"),
    ("# TYPE x stateset\nx 1\n", 2, "x has no label x", "bounds"),
    ('# TYPE x stateset\nx{x="a"} 2\n', 2, "a state's value is 0 or 1", "value"),
    ('# TYPE x info\nx_info{a="b"} 2\n', 2, "an info's value is 1", "value"),
    ('# TYPE s summary\ns{quantile="1.5"} 1\n', 2, "a quantile is between 0 and 1", "bounds"),
    ('# TYPE s summary\ns{quantile="0.5"} -1\n', 2, "a quantile's value cannot be negative", "value"),
    ("# TYPE s summary\ns_count 1.5\n", 2, "a count is a whole number", "value"),
    (f'{H}h_bucket{{le="inf"}} 1\n', 2, "infinity is written +Inf", "bounds"),
    (f'{H}h_bucket{{le="1"}} 1\n', 2, 'no bucket with le="+Inf"', "bounds"),
    (f'{H}h_bucket{{le="1"}} 2\nh_bucket{{le="+Inf"}} 1\n', 3, "buckets are cumulative", "torn"),
    (f'{H}h_bucket{{le="+Inf"}} 1\nh_count 1\n', 2, "must have both _count and _sum", "torn"),
    (f'{H}h_bucket{{le="+Inf"}} 1\nh_count 2\nh_sum 1\n', 2, "h_count is not what its bucket", "torn"),
    (f'{H}h_bucket{{le="-1"}} 0\nh_bucket{{le="+Inf"}} 1\nh_count 1\nh_sum 1\n', 2, "cannot have a sum", "value"),
    (f'{H}h_sum{{le="1"}} 0\n', 2, "must not have a label le", "bounds"),
    ("x 1 # {} 1\n", 1, "only a counter's total and a histogram's bucket can have an exemplar", "exemplar"),
    ("# TYPE x counter\nx_total 1 # {a=1} 1\n", 2, "expected name=", "exemplar"),
    ("# TYPE x counter\nx_total 1 # {}\n", 2, "expected an exemplar", "exemplar"),
    (f'# TYPE x counter\nx_total 1 # {{a="{"b" * 128}"}} 1\n', 2, "more than 128 characters", "exemplar"),
    (f'{H}h_bucket{{le="1"}} 1 # {{}} 2\nh_bucket{{le="+Inf"}} 1\n', 2, "above its bucket's bound", "exemplar"),
]


@pytest.mark.parametrize(("page", "line", "why", "kind"), OPENMETRICS_MISTAKES)
def test_a_mistake_in_openmetrics_is_told_with_its_line_and_has_the_effect_of_its_kind(
    page: str, line: int, why: str, kind: FaultKind
) -> None:
    effect, fault = first_fault(parse_openmetrics, page)

    assert (fault.kind, fault.line) == (kind, line)
    assert why in fault.reason
    assert effect == EFFECTS[kind]


def test_the_names_of_a_metric_that_is_left_out_are_those_of_all_its_samples() -> None:
    stray = 'jobs_bucket{le="+Inf"} 0\n'
    broken = "# TYPE jobs histogram\njobs_sum 0\njobs_sum 1\n"

    sound = parse_text(stray + broken)
    clash = parse_text(f'{stray}{broken}jobs_bucket{{le="1"}} 0\n')

    assert set(sound.unusable) == {"jobs_sum", "jobs_count"}
    assert sound.select("jobs_bucket")
    assert set(clash.unusable) == {"jobs_bucket", "jobs_sum", "jobs_count"}
    assert not clash.select("jobs_bucket")

"""Metrics pages: what they say, and what is refused. prometheus-client's two parsers are the oracle."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.page_faults import EFFECTS, Fault, FaultKind, MalformedPage
from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.exposition.sample import Sample

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

# The example of Prometheus's "Exposition formats".
EXAMPLE = rb"""# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9

# UTF-8 metric and label names:
{"my.dotted.metric", "error.message"="Not Found"} 1

# Minimalistic line:
metric_without_timestamp_and_labels 12.47

# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf -3982045

# A histogram, which has a pretty complex representation in the text format:
# HELP http_request_duration_seconds A histogram of the request duration.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.05"} 24054
http_request_duration_seconds_bucket{le="+Inf"} 144320
http_request_duration_seconds_sum 53423
http_request_duration_seconds_count 144320

# Finally a summary, which has a complex representation, too:
# HELP rpc_duration_seconds A summary of the RPC duration in seconds.
# TYPE rpc_duration_seconds summary
rpc_duration_seconds{quantile="0.01"} 3102
rpc_duration_seconds{quantile="0.99"} 76656
rpc_duration_seconds_sum 1.7560473e+07
rpc_duration_seconds_count 2693
"""


def text(page: str | bytes) -> Exposition:
    return parse_page(page.encode() if isinstance(page, str) else page, TEXT, 1000)


def openmetrics(page: str) -> Exposition:
    return parse_page(f"{page}# EOF\n".encode(), OPENMETRICS, 1000)


def every(exposition: Exposition) -> list[Sample]:
    return [sample for name in exposition.metric_names() for sample in exposition.select(name)]


# -- what is read -------------------------------------------------------------------------------------------------


def test_the_example_of_the_specification_is_read_whole() -> None:
    exposition = text(EXAMPLE)

    assert exposition.sample_count == 14
    assert exposition.select("http_requests_total") == [
        Sample("http_requests_total", (("code", "200"), ("method", "post")), 1027, 1395066363),
        Sample("http_requests_total", (("code", "400"), ("method", "post")), 3, 1395066363),
    ]
    (escaped,) = exposition.select("msdos_file_access_time_seconds")
    assert dict(escaped.labels) == {"path": r"C:\DIR\FILE.TXT", "error": 'Cannot find file:\n"FILE.TXT"'}
    assert exposition.select("my.dotted.metric") == [Sample("my.dotted.metric", (("error.message", "Not Found"),), 1)]
    assert exposition.families["http_request_duration_seconds"].type == "histogram"
    summary = exposition.families["rpc_duration_seconds"]
    assert exposition.metadata(summary).help == b"A summary of the RPC duration in seconds."
    assert exposition.families["metric_without_timestamp_and_labels"].type == "untyped"


def test_a_page_without_a_content_type_is_text() -> None:
    assert parse_page(b"up 1\n", "", 1).select("up") == [Sample("up", (), 1)]


def test_an_empty_page_is_a_page() -> None:
    assert text("").sample_count == 0
    assert openmetrics("").sample_count == 0


@pytest.mark.parametrize(
    "line",
    [
        ' \tup \t{ a = "1" , b = "2" , }\t 5 \t123 \t',
        'up{a="1",b="2"}5 123',
        'up {"a"="1","b"="2"} 5 123',
        '{"up","a"="1",b="2"} 5 123',
        '{ "up" , b="2" , "a" = "1" } 5 123',
        'up{a="1",b="2",c=""} 5 123',
        'up{b="2",a="1"} 5e0 +123',
    ],
)
def test_text_is_generous_with_blanks_commas_and_quotes(line: str) -> None:
    assert every(text(f"{line}\n")) == [Sample("up", (("a", "1"), ("b", "2")), 5, 0.123)]


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("1", 1),
        ("-1.5", -1.5),
        ("+1.", 1),
        (".5e1", 5),
        ("1E+2", 100),
        ("inf", float("inf")),
        ("-INFINITY", -float("inf")),
    ],
)
def test_numbers_are_those_of_go(raw: str, value: float) -> None:
    assert every(text(f"x {raw}\n"))[0].value == value
    assert every(openmetrics(f"x {raw}\n"))[0].value == value


def test_not_a_number_is_a_value() -> None:
    assert str(every(text("x nan\n"))[0].value) == "nan"


def test_openmetrics_lets_a_backslash_stand_for_itself() -> None:
    (sample,) = openmetrics(r'x{path="C:\dir\\e\n\""} 1' + "\n").select("x")

    assert dict(sample.labels) == {"path": 'C:\\dir\\e\n"'}


def test_of_several_points_in_time_the_last_one_counts() -> None:
    assert openmetrics("x 1 10\nx 2 20.5\n").select("x") == [Sample("x", (), 2, 20.5)]


def test_comments_that_say_nothing_may_stand_anywhere_in_text() -> None:
    assert text('# TYPE x gauge\n# a note\n#\n\nx 1\n  # HELPFUL\nx{a="b"} 2\n#!\n').sample_count == 2


# -- what is not right --------------------------------------------------------------------------------------------


def first_fault(read: Callable[[str], Exposition], page: str) -> tuple[str, Fault]:
    """What became of the page (page, family or taken), and for which fault."""
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
    effect, fault = first_fault(text, page)

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
    effect, fault = first_fault(openmetrics, page)

    assert (fault.kind, fault.line) == (kind, line)
    assert why in fault.reason
    assert effect == EFFECTS[kind]


def test_the_names_of_a_metric_that_is_left_out_are_those_of_all_its_samples() -> None:
    stray = 'jobs_bucket{le="+Inf"} 0\n'
    broken = "# TYPE jobs histogram\njobs_sum 0\njobs_sum 1\n"

    sound = text(stray + broken)
    clash = text(f'{stray}{broken}jobs_bucket{{le="1"}} 0\n')

    assert set(sound.unusable) == {"jobs_sum", "jobs_count"}
    assert sound.select("jobs_bucket")
    assert set(clash.unusable) == {"jobs_bucket", "jobs_sum", "jobs_count"}
    assert not clash.select("jobs_bucket")


def test_text_that_may_have_been_cut_within_its_last_line_is_refused() -> None:
    with pytest.raises(MalformedPage, match="line 2: the page ends within this line"):
        parse_page(b"up 1\nqueue_length 12", TEXT, 10, whole=False)


def test_text_whose_end_http_vouches_for_needs_no_last_line_feed() -> None:
    exposition = parse_page(b"up 1\nqueue_length 12", TEXT, 10, whole=True)

    assert exposition.select("queue_length") == [Sample("queue_length", (), 12)]
    assert exposition.faults.counts == {"final_newline": 1}


@pytest.mark.parametrize("page", [b"", b"x 1\n", b"x 1\n# EO", b"x 1# EOF\n", b"x 1\n# EOF\n\n"])
def test_openmetrics_without_its_end_is_not_whole(page: bytes) -> None:
    with pytest.raises(MalformedPage, match="there is no # EOF at the end"):
        parse_page(page, OPENMETRICS, 10)


def test_what_is_not_utf8_is_refused_with_its_line() -> None:
    with pytest.raises(MalformedPage, match="line 2: this is not UTF-8"):
        text(b'a{x="\xc3\xa9"} 1\nb{x="\xff"} 1\n')


@pytest.mark.parametrize("kind", ["text/html", "application/json", "application/openmetrics", "nonsense"])
def test_other_content_types_are_told_and_the_format_is_known_by_the_pages_end(kind: str) -> None:
    for page, counter in ((b"a_total 1\n", "a_total"), (b"# TYPE a counter\na_total 1\n# EOF\n", "a")):
        exposition = parse_page(page, kind, 10)

        assert exposition.select("a_total") == [Sample("a_total", (), 1)]
        assert counter in exposition.families
        assert exposition.faults.counts == {"content_type": 1}


def test_an_unknown_version_of_a_known_format_is_told_and_read() -> None:
    exposition = parse_page(b"up 1\n", "text/plain; version=9", 10)

    assert exposition.select("up") == [Sample("up", (), 1)]
    assert exposition.faults.counts == {"content_type": 1}


def test_a_setting_names_the_format_where_the_content_type_is_wrong() -> None:
    page = b"# TYPE a info\na_info 1\n# EOF\n"

    assert parse_page(page, TEXT, 10, source="openmetrics").families["a"].type == "info"
    assert parse_page(b"up 1\n", OPENMETRICS, 10, source="text").select("up")


def test_more_series_than_are_allowed_are_refused() -> None:
    page = b"".join(b'x{n="%d"} 1\n' % n for n in range(11))

    assert parse_page(page, TEXT, 11).sample_count == 11
    with pytest.raises(MalformedPage, match="more series than the 10 that are taken"):
        parse_page(page, TEXT, 10)

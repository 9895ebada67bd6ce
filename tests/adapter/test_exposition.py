"""Metrics pages: what they say, and what is refused. prometheus-client's two parsers are the oracle."""

from __future__ import annotations

import pytest

from sidecars.adapter.exposition import Exposition, Malformed, Sample, parse

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
    return parse(page.encode() if isinstance(page, str) else page, TEXT, 1000)


def openmetrics(page: str) -> Exposition:
    return parse(f"{page}# EOF\n".encode(), OPENMETRICS, 1000)


def every(exposition: Exposition) -> list[Sample]:
    return [sample for name in exposition.names() for sample in exposition.select(name)]


# -- what is read -------------------------------------------------------------------------------------------------


def test_the_example_of_the_specification_is_read_whole() -> None:
    exposition = text(EXAMPLE)

    assert exposition.series == 14
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
    assert parse(b"up 1\n", "", 1).select("up") == [Sample("up", (), 1)]


def test_an_empty_page_is_a_page() -> None:
    assert text("").series == 0
    assert openmetrics("").series == 0


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
    assert text('# TYPE x gauge\n# a note\n#\n\nx 1\n  # HELPFUL\nx{a="b"} 2\n#!\n').series == 2


# -- what is refused ----------------------------------------------------------------------------------------------

TEXT_MISTAKES = [
    ("up 1", 1, "the page ends within this line"),
    ("a 1\nup\n", 2, "up has no value"),
    ("up one\n", 1, "the value one is not a number"),
    ("up 0x1p3\n", 1, "the value 0x1p3 is not a number"),
    ("up 1_000\n", 1, "the value 1_000 is not a number"),
    ("up +nan\n", 1, "the value +nan is not a number"),
    ("up 1e999\n", 1, "the number 1e999 is too large"),
    ("up 1 1.5\n", 1, "expected a timestamp in whole milliseconds and nothing more, but there is 1.5"),
    ("up 1 2 3\n", 1, "but there is 2 3"),
    ("up 1 99999999999999999999\n", 1, "too large for 64 bits"),
    ("up 1\r\n", 1, "carriage return"),
    ("1up 1\n", 1, "expected a metric's name, but there is 1up 1"),
    ("up+1\n", 1, "there must be a space before +1"),
    ('up{a="1} 1\n', 1, "the labels are not closed"),
    ('up{a="1"\n', 1, "the labels are not closed"),
    ('up{a="\\d"} 1\n', 1, "a wrong escape"),
    ("up{a=1} 1\n", 1, 'expected name="value" pairs'),
    ('up{a="1" b="2"} 1\n', 1, 'expected name="value" pairs'),
    ('up{a="1",,b="2"} 1\n', 1, 'expected name="value" pairs'),
    ("up{,} 1\n", 1, 'expected name="value" pairs'),
    ('up{a="1",a="2"} 1\n', 1, "the label a stands there twice"),
    ('up{"a"="1",a="2"} 1\n', 1, "the label a stands there twice"),
    ('up{a:b="1"} 1\n', 1, 'expected name="value" pairs'),
    ('up{__name__="x"} 1\n', 1, "__name__"),
    ('{a="1"} 1\n', 1, "there is no metric's name"),
    (" 1\n", 1, "there is no metric's name"),
    ('{""} 1\n', 1, "there is no metric's name"),
    ("# TYPE up\n", 1, "the type is missing"),
    ("# TYPE up Gauge\n", 1, "the type Gauge is none of untyped, counter, gauge, summary, histogram"),
    ("# TYPE up gauge really\n", 1, "the type gauge really"),
    ("# TYPE up gauge\n# TYPE up gauge\n", 2, "a second TYPE of up"),
    ("# HELP\n", 1, "expected a metric's name after HELP, but there is none"),
    ("# HELP up \\d+ are digits\n", 1, "a backslash that is not escaped"),
    ("up 1\n# TYPE up gauge\n", 2, "TYPE of up must stand before its samples"),
    ('up 1\ndown 1\nup{a="1"} 1\n', 3, "up has come before"),
    ("# TYPE a gauge\n# TYPE b gauge\na 1\n", 3, "a has come before"),
    ("up 1\nup 2\n", 2, "this series of up has come before"),
    ('up{a="1",b="2"} 1\nup{c="1"} 1\nup{ b="2",a="1"} 2\n', 3, "this series of up has come before"),
    ('up{a="1"} 1\nup{a="1",b=""} 2\n', 2, "this series of up has come before"),
    ("# TYPE h histogram\nh 1\n", 2, "h is a histogram: its samples are h_bucket, h_count, h_sum"),
    ("# TYPE h histogram\nh_bucket 1\n", 2, "h_bucket has no label le"),
    ('# TYPE h histogram\nh_bucket{le="x"} 1\n', 2, 'the label le="x" is not a number'),
    ('# TYPE h histogram\nh_bucket{le="2"} 1\nh_bucket{le="1"} 1\n', 3, "the label le must increase"),
    ('# TYPE h histogram\nh_bucket{le="2"} 1\nh_count 1\n', 2, 'h_bucket has no bucket with le="+Inf"'),
    ('# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_count 2\n', 2, "h_count is 2"),
    ("# TYPE h histogram\nh_sum 1\n", 2, 'h_bucket has no bucket with le="+Inf"'),
    ("# TYPE s summary\ns 1\n", 2, "s has no label quantile"),
    ('# TYPE s summary\ns{quantile="0.9"} 1\ns{quantile="0.5"} 1\n', 3, "the label quantile must increase"),
    ("# TYPE s summary\ns_sum 1\ns_sum 2\n", 3, "this series of s_sum has come before"),
    ('# TYPE h histogram\nh_bucket{le="+Inf"} 1\n# TYPE h_bucket gauge\nh_bucket 1\n', 3, "h_bucket has come before"),
]


@pytest.mark.parametrize(("page", "line", "why"), TEXT_MISTAKES)
def test_malformed_text_is_refused_whole_with_the_line(page: str, line: int, why: str) -> None:
    with pytest.raises(Malformed) as refused:
        text(page)

    assert refused.value.line == line
    assert why in refused.value.why
    assert str(refused.value) == f"line {line}: {refused.value.why}"


H = "# TYPE h histogram\n"
OPENMETRICS_MISTAKES = [
    ("\nx 1\n", 1, "no empty lines"),
    (" x 1\n", 1, "expected a metric's name"),
    ("x  1\n", 1, "exactly one space"),
    ("x\t1\n", 1, "exactly one space"),
    ("x 1 \n", 1, "exactly one space"),
    ('x{a="1",} 1\n', 1, 'expected name="value" pairs'),
    ('x{ a="1"} 1\n', 1, 'expected name="value" pairs'),
    ("x 1 nan\n", 1, "expected a timestamp or an exemplar"),
    ("# a note\n", 1, "HELP, TYPE, UNIT or EOF"),
    ("# EOF\nx 1\n", 1, "HELP, TYPE, UNIT or EOF"),
    ("# TYPE x untyped\n", 1, "the type untyped is none of unknown, counter"),
    ('# HELP x "quoted"\n', 1, "a backslash or a quote that is not escaped"),
    ("# UNIT x seconds\n", 1, "the unit seconds must be the end of the name x"),
    ("# TYPE x_s info\n# UNIT x_s s\n", 2, "cannot have a unit"),
    ("# TYPE x counter\nx 1\n", 2, "x is a counter: its samples are x_created, x_total"),
    ("# TYPE x counter\nx_total -1\n", 2, "cannot be negative or NaN"),
    ("# TYPE x counter\nx_total NaN\n", 2, "cannot be negative or NaN"),
    ("# TYPE x counter\nx_created 1\n", 2, "x_total is missing"),
    ("# TYPE x counter\n# TYPE x_total gauge\n", 2, "x_total has come before"),
    ("# TYPE x_total gauge\n# TYPE x counter\n", 3, "the name x_total belongs to another metric"),
    ("x 1\nx 2\n", 2, "this series of x has come before"),
    ("x 1 5\nx 2 5\n", 2, "this series of x has come before"),
    ("x 1 5\nx 2 4\n", 2, "timestamps of a series must increase"),
    ("x 1 1.0000000000000001\nx 2 1.00000000000000001\n", 2, "timestamps of a series must increase"),
    ("x 1 5\nx 2\n", 2, "some samples of this series have a timestamp"),
    ('x{a="1"} 1 5\nx{a="2"} 1 5\nx{a="1"} 1 6\n', 3, "its lines must stand together"),
    ("# TYPE x stateset\nx 1\n", 2, "x has no label x"),
    ('# TYPE x stateset\nx{x="a"} 2\n', 2, "a state's value is 0 or 1"),
    ('# TYPE x info\nx_info{a="b"} 2\n', 2, "an info's value is 1"),
    ('# TYPE s summary\ns{quantile="1.5"} 1\n', 2, "a quantile is between 0 and 1"),
    ('# TYPE s summary\ns{quantile="0.5"} -1\n', 2, "a quantile's value cannot be negative"),
    ("# TYPE s summary\ns_count 1.5\n", 2, "a count is a whole number"),
    (f'{H}h_bucket{{le="inf"}} 1\n', 2, "infinity is written +Inf"),
    (f'{H}h_bucket{{le="1"}} 1\n', 2, 'no bucket with le="+Inf"'),
    (f'{H}h_bucket{{le="1"}} 2\nh_bucket{{le="+Inf"}} 1\n', 3, "buckets are cumulative"),
    (f'{H}h_bucket{{le="+Inf"}} 1\nh_count 1\n', 2, "must have both _count and _sum"),
    (f'{H}h_bucket{{le="+Inf"}} 1\nh_count 2\nh_sum 1\n', 2, "h_count is not what its bucket"),
    (f'{H}h_bucket{{le="-1"}} 0\nh_bucket{{le="+Inf"}} 1\nh_count 1\nh_sum 1\n', 2, "cannot have a sum"),
    (f'{H}h_sum{{le="1"}} 0\n', 2, "must not have a label le"),
    ("x 1 # {} 1\n", 1, "only a counter's total and a histogram's bucket can have an exemplar"),
    ("# TYPE x counter\nx_total 1 # {a=1} 1\n", 2, "expected name="),
    ("# TYPE x counter\nx_total 1 # {}\n", 2, "expected an exemplar"),
    (f'# TYPE x counter\nx_total 1 # {{a="{"b" * 128}"}} 1\n', 2, "more than 128 characters"),
    (f'{H}h_bucket{{le="1"}} 1 # {{}} 2\nh_bucket{{le="+Inf"}} 1\n', 2, "above its bucket's bound"),
]


@pytest.mark.parametrize(("page", "line", "why"), OPENMETRICS_MISTAKES)
def test_malformed_openmetrics_is_refused_whole_with_the_line(page: str, line: int, why: str) -> None:
    with pytest.raises(Malformed) as refused:
        openmetrics(page)

    assert refused.value.line == line
    assert why in refused.value.why


@pytest.mark.parametrize("page", [b"", b"x 1\n", b"x 1\n# EO", b"x 1# EOF\n", b"x 1\n# EOF\n\n"])
def test_openmetrics_without_its_end_is_not_whole(page: bytes) -> None:
    with pytest.raises(Malformed, match="there is no # EOF at the end"):
        parse(page, OPENMETRICS, 10)


def test_what_is_not_utf8_is_refused_with_its_line() -> None:
    with pytest.raises(Malformed, match="line 2: this is not UTF-8"):
        text(b'a{x="\xc3\xa9"} 1\nb{x="\xff"} 1\n')


@pytest.mark.parametrize("kind", ["text/html", "application/json", "text/plain; version=9", "nonsense"])
def test_other_content_types_are_refused(kind: str) -> None:
    with pytest.raises(Malformed, match="is none of Prometheus's text formats"):
        parse(b"up 1\n", kind, 10)


def test_more_series_than_are_allowed_are_refused() -> None:
    page = b"".join(b'x{n="%d"} 1\n' % n for n in range(11))

    assert parse(page, TEXT, 11).series == 11
    with pytest.raises(Malformed, match="more series than the 10 that are taken"):
        parse(page, TEXT, 10)

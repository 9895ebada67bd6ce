"""Parsing of metrics pages: samples, formats and their ends. `test_parser_oracle` compares with prometheus-client."""

from __future__ import annotations

import pytest

from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.page_faults import MalformedPage
from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.exposition.sample import Sample
from tests.adapter.pages import OPENMETRICS, TEXT, parse_openmetrics, parse_text

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


def every(exposition: Exposition) -> list[Sample]:
    return [sample for name in exposition.metric_names() for sample in exposition.select(name)]


# -- what is read -------------------------------------------------------------------------------------------------


def test_the_example_of_the_specification_is_read_whole() -> None:
    exposition = parse_text(EXAMPLE)

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
    assert parse_text("").sample_count == 0
    assert parse_openmetrics("").sample_count == 0


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
    assert every(parse_text(f"{line}\n")) == [Sample("up", (("a", "1"), ("b", "2")), 5, 0.123)]


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
    assert every(parse_text(f"x {raw}\n"))[0].value == value
    assert every(parse_openmetrics(f"x {raw}\n"))[0].value == value


def test_not_a_number_is_a_value() -> None:
    assert str(every(parse_text("x nan\n"))[0].value) == "nan"


def test_openmetrics_lets_a_backslash_stand_for_itself() -> None:
    (sample,) = parse_openmetrics(r'x{path="C:\dir\\e\n\""} 1' + "\n").select("x")

    assert dict(sample.labels) == {"path": 'C:\\dir\\e\n"'}


def test_of_several_points_in_time_the_last_one_counts() -> None:
    assert parse_openmetrics("x 1 10\nx 2 20.5\n").select("x") == [Sample("x", (), 2, 20.5)]


def test_comments_that_say_nothing_may_stand_anywhere_in_text() -> None:
    assert parse_text('# TYPE x gauge\n# a note\n#\n\nx 1\n  # HELPFUL\nx{a="b"} 2\n#!\n').sample_count == 2


# -- formats and ends ---------------------------------------------------------------------------------------------


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
        parse_text(b'a{x="\xc3\xa9"} 1\nb{x="\xff"} 1\n')


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

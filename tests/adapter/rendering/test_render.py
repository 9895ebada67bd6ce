"""Writing of pages: in the other format, with target labels, several as one."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from sidecars.adapter.exposition.page_faults import MalformedPage
from sidecars.adapter.rendering.escaping import EscapingScheme
from sidecars.adapter.rendering.negotiation import TEXT as TEXT_FORMAT
from sidecars.adapter.rendering.negotiation import ExpositionFormat
from sidecars.adapter.rendering.render import render_metrics
from tests.adapter.pages import (
    OPENMETRICS,
    TEXT,
    Family,
    as_openmetrics,
    as_text,
    broken,
    openmetrics_pages,
    pages,
    read,
    series,
)

OPENMETRICS_FORMAT = ExpositionFormat(openmetrics=True, version="1.0.0", escaping="underscores")
UTF8_TEXT = ExpositionFormat(version="1.0.0", escaping="allow-utf-8")
UTF8_OPENMETRICS = ExpositionFormat(openmetrics=True, version="1.0.0", escaping="allow-utf-8")
FORMATS = [TEXT_FORMAT, OPENMETRICS_FORMAT, UTF8_TEXT, UTF8_OPENMETRICS]


def rendered(page: str, target: ExpositionFormat, kind: str = TEXT, **labels: str) -> str:
    end = "# EOF\n" if kind == OPENMETRICS else ""
    return render_metrics([(labels, read(f"{page}{end}".encode(), kind))], target).decode()


def merged(target: ExpositionFormat, **apps: str) -> str:
    return render_metrics([({"app": app}, read(page.encode(), TEXT)) for app, page in apps.items()], target).decode()


# -- one page -----------------------------------------------------------------------------------------------------


def test_a_page_that_is_in_the_format_already_stays_byte_for_byte() -> None:
    page = '# a note\n\n# HELP x  About x.\n# TYPE x gauge\n  x{ a = "1", } 5e0 \n'

    assert rendered(page, TEXT_FORMAT) == page


def test_text_becomes_openmetrics() -> None:
    page = """\
# HELP requests_total Say "so"\\n and \\\\.
# TYPE requests_total counter
requests_total{a="1"} 5 1500
# TYPE odd counter
odd 5
# TYPE heap_bytes gauge
heap_bytes +Inf
untyped 1
"""
    assert (
        rendered(page, OPENMETRICS_FORMAT)
        == """\
# TYPE requests counter
# HELP requests Say \\"so\\"\\n and \\\\.
requests_total{a="1"} 5 1.5
# TYPE odd unknown
odd 5
# TYPE heap_bytes gauge
heap_bytes +Inf
# TYPE untyped unknown
untyped 1
# EOF
"""
    )


def test_openmetrics_becomes_text() -> None:
    page = """\
# TYPE requests counter
# HELP requests Say \\"so\\".
requests_total{path="C:\\dir"} 5 1.5 # {trace="x"} 1
requests_created{path="C:\\dir"} 1 1.5
# TYPE build info
build_info{version="1"} 1
# TYPE state stateset
state{state="on"} 1
# TYPE sizes_bytes gaugehistogram
# UNIT sizes_bytes bytes
sizes_bytes_bucket{le="+Inf"} 2
sizes_bytes_gcount 2
sizes_bytes_gsum 5
# TYPE q summary
q{quantile="0.9"} 2
q{quantile="0.5"} 1
moving 1 10
moving 2 20
"""
    assert (
        rendered(page, TEXT_FORMAT, OPENMETRICS)
        == """\
# TYPE requests_total counter
# HELP requests_total Say "so".
requests_total{path="C:\\\\dir"} 5 1500
# TYPE requests_created gauge
# HELP requests_created Say "so".
requests_created{path="C:\\\\dir"} 1 1500
# TYPE build_info gauge
build_info{version="1"} 1
# TYPE state gauge
state{state="on"} 1
# TYPE sizes_bytes histogram
sizes_bytes_bucket{le="+Inf"} 2
# TYPE sizes_bytes_gcount gauge
sizes_bytes_gcount 2
# TYPE sizes_bytes_gsum gauge
sizes_bytes_gsum 5
# TYPE q summary
q{quantile="0.5"} 1
q{quantile="0.9"} 2
# TYPE moving untyped
moving 2 20000
"""
    )


def test_what_openmetrics_would_refuse_loses_its_type_and_keeps_its_series() -> None:
    page = """\
# TYPE falling_total counter
falling_total -1
# TYPE h histogram
h_bucket{le="inf"} 1
h_sum NaN
"""
    assert (
        rendered(page, OPENMETRICS_FORMAT)
        == """\
# TYPE falling_total unknown
falling_total -1
# TYPE h_bucket unknown
h_bucket{le="inf"} 1
# TYPE h_sum unknown
h_sum NaN
# EOF
"""
    )


def test_the_samples_of_a_distribution_are_put_in_openmetrics_order() -> None:
    page = """\
# TYPE h histogram
h_bucket{a="1",le="1"} 0
h_bucket{a="2",le="1"} 1
h_bucket{a="1",le="+Inf"} 1
h_bucket{a="2",le="+Inf"} 1
h_sum{a="1"} 1
h_sum{a="2"} 1
h_count{a="1"} 1
h_count{a="2"} 1
"""
    lines = rendered(page, OPENMETRICS_FORMAT).splitlines()

    assert lines[0] == "# TYPE h histogram"
    assert lines[1:5] == [
        'h_bucket{a="1",le="1"} 0',
        'h_bucket{a="1",le="+Inf"} 1',
        'h_sum{a="1"} 1',
        'h_count{a="1"} 1',
    ]


@pytest.mark.parametrize("gauge", ["requests", "requests_created"])
def test_names_that_clash_in_openmetrics_only_keep_their_series(gauge: str) -> None:
    page = f"# TYPE {gauge} gauge\n{gauge} 1\n# TYPE requests_total counter\nrequests_total 5\n"

    assert rendered(page, OPENMETRICS_FORMAT) == (
        f"# TYPE {gauge} {'unknown' if gauge == 'requests' else 'gauge'}\n{gauge} 1\n"
        "# TYPE requests_total unknown\nrequests_total 5\n# EOF\n"
    )


# -- names --------------------------------------------------------------------------------------------------------

UTF8 = '# HELP "http.requests" About.\n# TYPE "http.requests" gauge\n{"http.requests","the.path"="/é",a_b="1"} 1\n'


@pytest.mark.parametrize(
    ("escaping", "line"),
    [
        ("allow-utf-8", '{"http.requests","the.path"="/é",a_b="1"} 1'),
        ("underscores", 'http_requests{the_path="/é",a_b="1"} 1'),
        ("dots", 'http_dot_requests{the_dot_path="/é",a__b="1"} 1'),
        ("values", 'U__http_2e_requests{U__the_2e_path="/é",a_b="1"} 1'),
    ],
)
@pytest.mark.parametrize("kind", ["text", "openmetrics"])
def test_utf8_names_are_escaped_as_the_scraper_asks(escaping: EscapingScheme, line: str, kind: str) -> None:
    lines = rendered(UTF8, ExpositionFormat(kind == "openmetrics", "1.0.0", escaping)).splitlines()

    name = line.partition("{")[0] or '"http.requests"'
    assert sorted(lines[:2]) == [f"# HELP {name} About.", f"# TYPE {name} gauge"]
    assert lines[2:] == [line, "# EOF"][: len(lines) - 2]


# -- several apps -------------------------------------------------------------------------------------------------


def test_several_apps_become_one_page_with_a_label_and_one_set_of_metadata() -> None:
    first = "# HELP up About up.\n# TYPE up gauge\nup 1\n# TYPE own gauge\nown 1\n"
    second = '# TYPE up gauge\n# HELP up Other words.\nup{a="1"} 0\n'

    text = merged(TEXT_FORMAT, shop=first, cart=second)

    assert text == (
        "# TYPE up gauge\n# HELP up About up.\n"
        'up{app="shop"} 1\nup{a="1",app="cart"} 0\n'
        '# TYPE own gauge\nown{app="shop"} 1\n'
    )
    assert merged(OPENMETRICS_FORMAT, shop=first, cart=second) == text + "# EOF\n"


def test_a_label_that_is_there_already_is_kept_under_another_name() -> None:
    assert rendered('up{app="mine",exported_app="too"} 1\n', TEXT_FORMAT, app="shop").splitlines()[1] == (
        'up{exported_exported_app="mine",exported_app="too",app="shop"} 1'
    )


def test_apps_that_disagree_about_a_type_are_both_heard() -> None:
    page = merged(TEXT_FORMAT, a="# TYPE up gauge\nup 1\n", b="# TYPE up counter\nup 2\n")

    assert page == '# TYPE up untyped\nup{app="a"} 1\nup{app="b"} 2\n'


def test_one_apps_histogram_may_be_another_apps_gauge() -> None:
    histogram = '# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_count 1\n'

    page = merged(TEXT_FORMAT, a=histogram, b="# TYPE h_count gauge\nh_count 5\n")

    assert page == (
        '# TYPE h_bucket untyped\nh_bucket{le="+Inf",app="a"} 1\n'
        '# TYPE h_count untyped\nh_count{app="a"} 1\nh_count{app="b"} 5\n'
    )


# -- any page -----------------------------------------------------------------------------------------------------


@given(pages())
def test_any_page_keeps_its_series_in_every_format_and_is_understood_by_prometheus_client(page: list[Family]) -> None:
    for source, kind in ((as_text(page), TEXT), (as_openmetrics(page), OPENMETRICS)):
        exposition = read(source, kind)
        for target in FORMATS:
            written = render_metrics([({}, exposition)], target)

            assert series(read(written, target.content_type)) == series(exposition)
            families = (openmetrics_families if target.openmetrics else text_families)(written.decode())
            assert sum(len(family.samples) for family in families) == exposition.sample_count


@given(pages(), pages())
def test_any_two_pages_become_one_that_is_valid_and_has_all_series(one: list[Family], other: list[Family]) -> None:
    first, second = read(as_text(one), TEXT), read(as_openmetrics(other), OPENMETRICS)
    for target in FORMATS:
        written = render_metrics([({"app": "one"}, first), ({"app": "other"}, second)], target)

        found = read(written, target.content_type)
        assert found.sample_count == first.sample_count + second.sample_count
        families = (openmetrics_families if target.openmetrics else text_families)(written.decode())
        assert sum(len(family.samples) for family in families) == found.sample_count


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken(pages(), as_text), broken(openmetrics_pages(), as_openmetrics))
def test_what_is_left_of_a_broken_page_is_valid_in_every_format(text: str, openmetrics: str) -> None:
    for source, kind in ((text, TEXT), (openmetrics, OPENMETRICS)):
        try:
            exposition = read(source.encode(), kind)
        except MalformedPage:
            continue
        for target in FORMATS:
            written = render_metrics([({}, exposition)], target)

            found = read(written, target.content_type)
            assert not found.must_be_rewritten, (written, found.dropped, found.faults.reported)
            assert len(series(found)) == len(series(exposition))
            list((openmetrics_families if target.openmetrics else text_families)(written.decode()))

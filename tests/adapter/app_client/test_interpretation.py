"""The meaning of an app's response: metrics, a health document, or selected numbers."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.app_client.interpretation import (
    Interpretation,
    InterpretationOptions,
    UnusableResponse,
    interpret,
)
from sidecars.adapter.app_client.outcome import AppResponse, NoResponse
from sidecars.adapter.health.json_paths import parse_json_paths
from sidecars.adapter.health.status_words import StatusWords
from sidecars.adapter.setting_types import SourceFormat
from tests.adapter.documents import ASPNET, CONSUL, DROPWIZARD, HEALTH_JSON, MICROPROFILE, SPRING

OPTIONS = InterpretationOptions(max_body=1_000_000, max_series=1000)
TEXT = "text/plain; version=0.0.4"
METRICS = b'# TYPE up gauge\nup{job="app"} 1\n'


def interpretation(
    body: bytes, content_type: str = TEXT, status: int = 200, options: InterpretationOptions = OPTIONS, **headers: str
) -> Interpretation:
    given_headers = {"content-type": content_type, **{name.replace("_", "-"): it for name, it in headers.items()}}
    return interpret(AppResponse(status, given_headers, body), options)


def refusal(*given_: bytes, **rest: object) -> str:
    with pytest.raises(UnusableResponse) as caught:
        interpretation(*given_, **rest)  # type: ignore[arg-type] # passed on as they are
    return caught.value.phrase


def value(found: Interpretation, name: str, /, **labels: str) -> float:
    [sample] = [each for each in found.exposition.select(name) if dict(each.labels) == labels]
    return sample.value


def test_metrics_are_read() -> None:
    assert value(interpretation(METRICS), "up", job="app") == 1


def test_openmetrics_are_read() -> None:
    page = b"# TYPE hits counter\nhits_total 5\n# EOF\n"

    assert value(interpretation(page, "application/openmetrics-text; version=1.0.0; charset=utf-8"), "hits_total") == 5


@pytest.mark.parametrize(
    ("document", "status", "up"),
    [
        (HEALTH_JSON, 200, 1),
        (SPRING, 503, 0),
        (MICROPROFILE, 503, 0),
        (ASPNET, 200, 1),
        (CONSUL, 200, 0),
        (DROPWIZARD, 500, 0),
    ],
    ids=["health+json", "spring", "microprofile", "aspnet", "consul", "dropwizard"],
)
@pytest.mark.parametrize("content_type", ["application/json", "application/vnd.x+json", TEXT, ""])
def test_a_health_document_of_each_dialect_becomes_the_same_metrics_also_with_an_error_status(
    document: object, status: int, up: int, content_type: str
) -> None:
    found = interpretation(json.dumps(document).encode(), content_type, status)

    assert found.health
    assert value(found, "health_up") == up
    assert value(found, "health_http_status_code") == status
    for part in found.health.components:
        assert value(found, "health_check_up", check=part.name) == (part.status in ("pass", "warn"))
        assert value(found, "health_check_status", check=part.name, status=part.status) == 1
        for name, number in part.values.items():
            assert value(found, "health_check_value", check=part.name, name=name) == number


def test_kubernetes_lines_become_metrics() -> None:
    found = interpretation(b"[+]ping ok\n[-]etcd failed: reason withheld\nhealthz check failed\n", status=500)

    assert value(found, "health_check_up", check="etcd") == 0
    assert value(found, "health_up") == 0


def test_numbers_are_selected_from_json_of_any_kind() -> None:
    options = InterpretationOptions(1000, 1000, parse_json_paths("depth=$.queue.depth; free=$.disks[*]"))

    found = interpretation(b'{"queue": {"depth": 7}, "disks": [1, 2]}', "application/json", 500, options)

    assert value(found, "depth") == 7
    assert value(found, "free", key="1") == 2
    assert value(found, "health_http_status_code") == 500


def test_what_is_selected_and_no_number_is_counted_and_the_rest_is_kept() -> None:
    options = InterpretationOptions(1000, 1000, parse_json_paths("depth=$.queue.depth; up=$.checks[*].state"))

    found = interpretation(
        b'{"queue": {"depth": 7}, "checks": [{"state": "UP"}, {"state": "hm"}]}', "application/json", options=options
    )

    assert value(found, "depth") == 7
    assert value(found, "up", key="0") == 1
    assert len(found.exposition.select("up")) == 1
    assert value(found, "health_select_unknown_values", name="up") == 1
    assert value(found, "health_select_unknown_values", name="depth") == 0


def test_the_numbers_of_status_words_are_told_where_the_settings_give_some() -> None:
    options = InterpretationOptions(1000, 1000, status_words=StatusWords({"restricted": 0.5}))
    body = b'{"status": "RESTRICTED", "components": {"db": {"status": "UP"}, "mq": {"status": "hm"}}}'

    found = interpretation(body, "application/json", options=options)

    assert value(found, "health_status_value") == 0.5
    assert value(found, "health_status", status="warn") == 1
    assert value(found, "health_check_status_value", check="db") == 1
    assert value(found, "health_check_status", check="mq", status="unknown") == 1
    assert len(found.exposition.select("health_check_status_value")) == 1


def test_a_metric_whose_line_begins_with_a_brace_is_not_taken_for_json() -> None:
    assert value(interpretation(b'{"a.metric"} 1\n', "text/plain; version=1.0.0"), "a.metric") == 1


def test_what_cannot_be_used_is_told() -> None:
    assert refusal(METRICS, status=500) == "answered with the status 500"
    assert refusal(b"") == "answered without a single metric"
    assert refusal(b"# TYPE up gauge\n") == "answered without a single metric"
    assert refusal(b"up 1\nup one\n").startswith("answered with malformed metrics: line 2")
    assert "malformed" in refusal(b"<html></html>", content_type="text/html")
    assert "invalid JSON" in refusal(b"<html></html>", content_type="application/json")
    assert "invalid JSON" in refusal(b"", content_type="application/json")
    assert refusal(b"a 1\nb 1\n", options=InterpretationOptions(100, 1)).startswith("answered with malformed metrics")
    with pytest.raises(UnusableResponse, match="is down"):
        interpret(NoResponse("refused", "is down"), OPTIONS)


def test_metrics_that_are_called_json_or_html_are_read() -> None:
    for content_type in ("application/json", "text/html; charset=utf-8", "application/octet-stream"):
        assert value(interpretation(METRICS, content_type), "up", job="app") == 1


def test_a_setting_names_the_format_where_the_content_type_is_wrong() -> None:
    def options(source: SourceFormat) -> InterpretationOptions:
        return InterpretationOptions(1000, 1000, source_format=source)

    document, page = b'{"status": "DOWN"}', b"# TYPE hits counter\nhits_total 5 # {} 1\n# EOF\n"
    assert value(interpretation(document, "text/html", options=options("json")), "health_up") == 0
    assert value(interpretation(page, TEXT, options=options("openmetrics")), "hits_total") == 5
    assert value(interpretation(METRICS, "application/openmetrics-text", options=options("text")), "up", job="app") == 1
    assert "invalid JSON" in refusal(METRICS, options=options("json"))


def test_a_page_of_which_nothing_can_be_used_says_why() -> None:
    assert refusal(b"up 1\nup 2\n") == (
        "answered without a usable metric: up: line 2: this series of up has come before, with another value"
    )


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", " GZIP "])
def test_compressed_answers_are_unpacked(encoding: str) -> None:
    packed = zlib.compress(METRICS) if encoding == "deflate" else gzip.compress(METRICS)

    assert value(interpretation(packed, content_encoding=encoding), "up", job="app") == 1


@pytest.mark.slow
def test_a_compression_bomb_is_refused_before_it_takes_memory() -> None:
    bomb = gzip.compress(bytes(200_000_000))
    tracemalloc.start()
    try:
        assert refusal(bomb, content_encoding="gzip") == "answered with more than 1000000 once unpacked"
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
def test_an_encoding_that_was_not_asked_for_is_refused(encoding: str) -> None:
    assert "not requested" in refusal(METRICS, content_encoding=encoding)


@pytest.mark.parametrize(
    "body",
    [b"plain", gzip.compress(METRICS)[:-3], gzip.compress(METRICS) + b"more"],
    ids=["plain", "cut short", "more behind it"],
)
def test_broken_gzip_is_refused(body: bytes) -> None:
    assert "gzip" in refusal(body, content_encoding="gzip")


NAMES = st.text(max_size=6) | st.sampled_from(["a", "a.b", "\ud800", "x" * 300, 'quo"te', "back\\slash", "new\nline"])
NUMBERS = (
    st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.sampled_from([10**400, -(10**400), 1e308])
)
WORDS = st.sampled_from(["UP", "DOWN", "UNKNOWN", "warn", "nonsense", True, 3, None])
PARTS = st.dictionaries(
    NAMES,
    st.fixed_dictionaries({"status": WORDS}, optional={"details": st.dictionaries(NAMES, NUMBERS, max_size=4)}),
    max_size=5,
)


@given(st.sampled_from(["UP", "DOWN", "warn"]), PARTS)
def test_any_health_document_becomes_a_page_that_is_well_formed(word: str, parts: dict[str, dict[str, object]]) -> None:
    body = json.dumps({"status": word, "components": parts}).encode()

    found = interpretation(body, "application/json")

    assert found.health
    assert len(found.health.components) == len(parts)
    assert len(list(found.exposition.select("health_check_up"))) == len(parts)


@given(st.dictionaries(NAMES, NUMBERS | st.dictionaries(NAMES, NUMBERS, max_size=3), max_size=4))
def test_any_selection_becomes_a_page_that_is_well_formed_or_is_refused(document: dict[str, object]) -> None:
    options = InterpretationOptions(100_000, 1000, parse_json_paths("a=$.*; b=$.*.*"))
    try:
        found = interpretation(json.dumps(document).encode(), "application/json", options=options)
    except UnusableResponse:
        return
    assert found.exposition.sample_count


def test_half_a_character_and_infinity_are_no_danger() -> None:
    body = b'{"status": "UP", "components": {"a\\ud800": {"status": "UP", "details": {"big": 1e999, "small": -1e999}}}}'

    found = interpretation(body, "application/json")

    assert value(found, "health_check_value", check="a?", name="big") == float("inf")
    assert value(found, "health_check_value", check="a?", name="small") == -float("inf")


@given(
    st.binary(max_size=80), st.sampled_from(["", TEXT, "application/json"]), st.sampled_from(["", "gzip", "deflate"])
)
def test_any_bytes_are_read_or_refused(body: bytes, content_type: str, encoding: str) -> None:
    try:
        found = interpretation(body, content_type, content_encoding=encoding)
    except UnusableResponse:
        return
    assert found.exposition.sample_count

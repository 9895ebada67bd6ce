"""Health documents of every dialect, read into one form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.healthdoc import CONDITIONS, Health, NotHealth, condition_of, parse_json, read_json, read_text
from tests.adapter.documents import ASPNET, CONSUL, DROPWIZARD, HEALTH_JSON, MICROPROFILE, SPRING


def conditions(health: Health) -> dict[str, str]:
    return {part.name: part.condition for part in health.components}


def test_health_json_is_read_with_every_measurement() -> None:
    health = read_json(HEALTH_JSON, 200)

    assert health.condition == "warn"
    assert conditions(health) == {
        "cassandra:responseTime": "pass",
        "cpu:utilization/a": "warn",
        "cpu:utilization/b": "pass",
        "uptime": "pass",
    }
    assert health.components[1].reason == "is hot"
    assert [part.values["observedValue"] for part in health.components] == [250, 85, 20.5, 1209600.245]


def test_springs_components_are_read_also_where_they_are_nested() -> None:
    health = read_json(SPRING, 503)

    assert health.condition == "fail"
    assert conditions(health) == {
        "db": "pass",
        "db/orders": "pass",
        "db/users": "fail",
        "diskSpace": "pass",
        "mail": "fail",
        "ping": "unknown",
    }
    assert health.components[3].values == {"total": 499963174912, "free": 91300069376, "exists": 1}
    assert health.components[2].reason == "java.net.ConnectException"


@pytest.mark.parametrize(
    "document",
    [
        {"status": "UP", "details": {"db": {"status": "UP", "details": {"hits": 1}}}},
        {"status": "UP", "db": {"status": "UP", "hits": 1}},
    ],
    ids=["Spring Boot 2.0", "Spring Boot 1"],
)
def test_older_forms_of_springs_document_are_read(document: dict[str, Any]) -> None:
    health = read_json(document, 200)

    assert conditions(health) == {"db": "pass"}
    assert health.components[0].values["hits"] == 1


def test_microprofile_is_read_with_its_data() -> None:
    health = read_json(MICROPROFILE, 503)

    assert conditions(health) == {"datasource": "fail", "heap": "pass"}
    assert health.components[0].values == {"pool.size": 5, "healthy": 0}


def test_aspnets_entries_are_read() -> None:
    health = read_json(ASPNET, 200)

    assert health.condition == "warn"
    assert health.components[0].reason == "is slow"
    assert health.components[0].values == {"ms": 120}


@pytest.mark.parametrize("document", [CONSUL, {item["CheckID"]: item for item in CONSUL}], ids=["list", "by ID"])
def test_consuls_checks_are_read(document: Any) -> None:
    health = read_json(document, 200)

    assert health.condition == "fail"
    assert conditions(health) == {"service:web": "pass", "service:db": "fail"}
    assert health.components[1].reason == "refused"


def test_dropwizards_checks_are_read() -> None:
    health = read_json(DROPWIZARD, 500)

    assert health.condition == "fail"
    assert conditions(health) == {"database": "fail", "deadlocks": "pass"}
    assert health.components[0].values == {"duration": 12}


@pytest.mark.parametrize("document", [{"a": {"healthy": True}}, {"status": "UP"}, {"status": "warn", "checks": {}}])
def test_a_document_and_a_status_that_contradict_each_other_are_as_bad_as_the_worse(document: Any) -> None:
    assert read_json(document, 200).up
    assert read_json(document, 503).condition == "fail"
    assert read_json({"status": "DOWN"}, 200).condition == "fail"


def test_the_numbers_of_a_springs_component_are_not_those_of_what_is_inside_of_it() -> None:
    inner = {"status": "UP", "details": {"size": 5}}
    health = read_json({"status": "UP", "components": {"db": {"status": "UP", "components": {"a": inner}}}}, 200)

    assert [part.values for part in health.components] == [{}, {"size": 5}]


def test_dropwizard_without_checks_says_so() -> None:
    with pytest.raises(NotHealth, match="no health checks"):
        read_json({}, 501)


@pytest.mark.parametrize(
    ("text", "status", "condition"),
    [
        ("ok", 200, "pass"),
        ("OK\n", 200, "pass"),
        ("Healthy.", 200, "pass"),
        ("unhealthy", 503, "fail"),
        ("ok", 503, "fail"),
        ("[+]ping ok\n[+]etcd ok\nhealthz check passed\n", 200, "pass"),
        ("[+]ping ok\n[-]etcd failed: reason withheld\nhealthz check failed\n", 500, "fail"),
        ("[+]ping excluded: ok\nwarn: some health checks cannot be excluded\n", 200, "pass"),
    ],
)
def test_kubernetes_lines_and_single_words_are_read(text: str, status: int, condition: str) -> None:
    health = read_text(text, status)

    assert health
    assert health.condition == condition
    if "etcd" in text:
        assert [part.name for part in health.components] == ["ping", "etcd"]


@pytest.mark.parametrize("text", ["", "up 1\n", "# TYPE up gauge\nup 1\n", "hello", "a\nb\n", "<html>"])
def test_other_text_is_no_health_document(text: str) -> None:
    assert read_text(text, 200) is None


@pytest.mark.parametrize(
    ("word", "condition"),
    [
        ("UP", "pass"), ("pass", "pass"), ("ok", "pass"), ("passing", "pass"), (True, "pass"), ("Healthy", "pass"),
        ("warn", "warn"), ("WARNING", "warn"), ("Degraded", "warn"),
        ("fail", "fail"), ("error", "fail"), ("down", "fail"), ("critical", "fail"), ("OUT_OF_SERVICE", "fail"),
        (False, "fail"), ("unknown", "unknown"), ("out of service", "fail"),
        ("whatever", None), (1, None), (None, None), ([], None),
    ],
)  # fmt: skip
def test_the_words_of_all_dialects_are_known(word: object, condition: str | None) -> None:
    assert condition_of(word) == condition


def test_two_components_of_one_name_keep_apart() -> None:
    document = {"status": "UP", "checks": [{"name": name, "status": "UP"} for name in ("a", "a", "a#2", "a")]}

    assert list(conditions(read_json(document, 200))) == ["a", "a#2", "a#2#2", "a#3"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nonsense", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b'{"a": ' + b"9" * 10_000 + b"}"],
)
def test_what_is_no_json_is_refused_and_not_repeated(body: bytes) -> None:
    with pytest.raises(NotHealth) as caught:
        parse_json(body)

    assert "nonsense" not in str(caught.value)


@pytest.mark.parametrize("document", [None, 1, "x", [], [1], {}, {"a": 1}, {"a": {}}, {"status": "hunter2"}])
def test_json_of_no_known_dialect_is_refused_and_says_what_to_do(document: Any) -> None:
    with pytest.raises(NotHealth) as caught:
        read_json(document, 200)

    assert "hunter2" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["status", "checks", "components", "details", "name", "data", "healthy", "Status", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON, st.integers(100, 599))
def test_any_json_is_a_health_document_or_refused(document: Any, status: int) -> None:
    try:
        health = read_json(json.loads(json.dumps(document)), status)
    except NotHealth:
        return
    assert health.condition in CONDITIONS
    names = [part.name for part in health.components]
    assert len(names) == len(set(names))


def test_hundreds_of_levels_are_no_danger() -> None:
    document: dict[str, Any] = {"status": "UP"}
    for _ in range(300):
        document = {"status": "UP", "components": {"x": document}}

    assert len(read_json(document, 200).components) < 30

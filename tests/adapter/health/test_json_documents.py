"""Health documents in JSON: every dialect is read into one form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.health.documents import HealthDocument
from sidecars.adapter.health.json_documents import read_json
from sidecars.adapter.health.status_words import HEALTH_STATUSES
from sidecars.adapter.health.strict_json import NotAHealthDocument
from tests.adapter.documents import ASPNET, CONSUL, DROPWIZARD, HEALTH_JSON, MICROPROFILE, SPRING


def statuses(health: HealthDocument) -> dict[str, str]:
    return {part.name: part.status for part in health.components}


def test_health_json_is_read_with_every_measurement() -> None:
    health = read_json(HEALTH_JSON, 200)

    assert health.status == "warn"
    assert statuses(health) == {
        "cassandra:responseTime": "pass",
        "cpu:utilization/a": "warn",
        "cpu:utilization/b": "pass",
        "uptime": "pass",
    }
    assert health.components[1].reason == "is hot"
    assert [part.values["observedValue"] for part in health.components] == [250, 85, 20.5, 1209600.245]


def test_springs_components_are_read_also_where_they_are_nested() -> None:
    health = read_json(SPRING, 503)

    assert health.status == "fail"
    assert statuses(health) == {
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

    assert statuses(health) == {"db": "pass"}
    assert health.components[0].values["hits"] == 1


def inside(levels: int, innermost: dict[str, Any]) -> dict[str, Any]:
    """Return a document of Spring Boot with nested components, as many as `levels`."""
    document = innermost
    for _ in range(levels):
        document = {"status": "UP", "components": {"a": document}}
    return document


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ({"status": "UP", "components": [{"name": "db", "status": "DOWN"}]}, "db"),
        ({"status": "UP", "checks": [], "components": {"db": {"status": "DOWN"}}}, "db"),
        ({"status": "UP", "checks": None, "details": {"db": {"status": "DOWN"}}}, "db"),
        ({"status": "UP", "components": {"db": {"status": "UP", "components": [{"status": "DOWN"}]}}}, "db/0"),
        ({"status": "UP", "details": {"db": {"status": "UP", "details": {"a": {"status": "DOWN"}}}}}, "db/a"),
        ({"status": "UP", "db": {"status": "UP", "a": {"status": "DOWN"}}}, "db/a"),
        ({"status": "UP", "checks": [{"name": "a", "status": "UP", "checks": [{"status": "DOWN"}]}]}, "a/0"),
        ({"status": "ok", "services": [{"name": "db", "status": "down"}]}, "services/db"),
        ({"status": "ok", "details": {"version": "1"}, "services": {"db": {"status": "down"}}}, "services/db"),
        ({"status": "ok", "system": {"results": {"db": {"status": "down"}}}}, "system/results/db"),
        ({"status": "UP", "checks": "DOWN"}, "checks"),
        ({"status": "UP", "components": False}, "components"),
        (inside(8, {"status": "DOWN"}), "a/a/a/a/a/a/a/a"),
    ],
)
def test_a_part_that_says_it_is_ill_is_found_wherever_it_stands(document: dict[str, Any], name: str) -> None:
    health = read_json(document, 200)

    assert health.status == "pass"
    assert statuses(health)[name] == "fail"
    assert list(statuses(health).values()).count("fail") == 1


def test_what_is_too_deep_to_be_looked_at_is_unknown() -> None:
    health = read_json(inside(40, {"status": "DOWN"}), 200)

    assert health.components[-1].status == "unknown"
    assert "too deep" in health.components[-1].reason


def test_microprofile_is_read_with_its_data() -> None:
    health = read_json(MICROPROFILE, 503)

    assert statuses(health) == {"datasource": "fail", "heap": "pass"}
    assert health.components[0].values == {"pool.size": 5, "healthy": 0}


def test_aspnets_entries_are_read() -> None:
    health = read_json(ASPNET, 200)

    assert health.status == "warn"
    assert health.components[0].reason == "is slow"
    assert health.components[0].values == {"ms": 120}


@pytest.mark.parametrize("document", [CONSUL, {item["CheckID"]: item for item in CONSUL}], ids=["list", "by ID"])
def test_consuls_checks_are_read(document: Any) -> None:
    health = read_json(document, 200)

    assert health.status == "fail"
    assert statuses(health) == {"service:web": "pass", "service:db": "fail"}
    assert health.components[1].reason == "refused"


def test_dropwizards_checks_are_read() -> None:
    health = read_json(DROPWIZARD, 500)

    assert health.status == "fail"
    assert statuses(health) == {"database": "fail", "deadlocks": "pass"}
    assert health.components[0].values == {"duration": 12}


def test_the_numbers_of_a_springs_component_are_not_those_of_what_is_inside_of_it() -> None:
    inner = {"status": "UP", "details": {"size": 5}}
    health = read_json({"status": "UP", "components": {"db": {"status": "UP", "components": {"a": inner}}}}, 200)

    assert [part.values for part in health.components] == [{}, {"size": 5}]


def test_dropwizard_without_checks_says_so() -> None:
    with pytest.raises(NotAHealthDocument, match="no health checks"):
        read_json({}, 501)


@pytest.mark.parametrize(
    "document",
    [
        {"status": "pass", "checks": {"a": ["nonsense"]}},
        {"status": "pass", "checks": {"a": [None]}},
        {"status": "pass", "checks": ["nonsense"]},
        {"status": "pass", "checks": [{"name": "a"}]},
        {"status": "UP", "components": {"a": {}}},
        {"status": "UP", "components": {"a": None}},
        {"status": "Healthy", "entries": {"a": None}},
        [{"CheckID": "a", "Status": "passing"}, None],
        [{"CheckID": "a", "Status": "passing"}, {"CheckID": "b"}],
        [{"CheckID": "a", "Status": "drowsy"}],
        {"a": {"healthy": True}, "b": {"healthy": "maybe"}},
        {"a": {"healthy": True}, "b": {}},
        {"a": {"healthy": True}, "b": "maybe"},
        {"a": {"Status": "passing"}, "b": {"Status": "drowsy"}},
    ],
)
def test_no_part_of_a_document_vanishes_because_it_is_not_understood(document: Any) -> None:
    assert "unknown" in statuses(read_json(document, 200)).values()


def test_a_long_name_with_many_numbers_inside_is_not_repeated_for_each_of_them() -> None:
    details = {"x" * 1_000_000: dict.fromkeys(map(str, range(5_000)), 1)}

    health = read_json({"status": "UP", "components": {"a": {"status": "UP", "details": details}}}, 200)

    assert all(len(name) <= 200 for name in health.components[0].values)


@pytest.mark.parametrize(
    "document", [None, 1, "x", [], [1], {}, {"a": 1}, {"a": {}}, {"status": 404}, {"status": None}]
)
def test_json_of_no_known_dialect_is_refused_and_says_what_to_do(document: Any) -> None:
    with pytest.raises(NotAHealthDocument) as caught:
        read_json(document, 200)

    assert "ADAPTER_SELECT" in str(caught.value) or "Consul" in str(caught.value)


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
def test_any_json_is_a_health_document_or_refused(document: Any, http_status: int) -> None:
    try:
        health = read_json(json.loads(json.dumps(document)), http_status)
    except NotAHealthDocument:
        return
    assert health.status in HEALTH_STATUSES
    names = [part.name for part in health.components]
    assert len(names) == len(set(names))


def test_hundreds_of_levels_are_no_danger() -> None:
    document: dict[str, Any] = {"status": "UP"}
    for _ in range(300):
        document = {"status": "UP", "components": {"x": document}}

    assert len(read_json(document, 200).components) < 30

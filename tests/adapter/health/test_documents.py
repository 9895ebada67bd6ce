"""Health documents of every dialect, read into one form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.health.documents import (
    CONDITIONS,
    Component,
    DocumentOptions,
    Health,
    NotAHealthDocument,
    condition_of,
    named,
    read_json,
)
from sidecars.adapter.health.kubernetes_lines import read_text
from sidecars.adapter.health.status_words import StatusWords
from sidecars.adapter.health.strict_json import parse_json
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


def inside(levels: int, innermost: dict[str, Any]) -> dict[str, Any]:
    """A document of Spring's with so many components in one another."""
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

    assert health.condition == "pass"
    assert conditions(health)[name] == "fail"
    assert list(conditions(health).values()).count("fail") == 1


def test_what_is_too_deep_to_be_looked_at_is_unknown() -> None:
    health = read_json(inside(40, {"status": "DOWN"}), 200)

    assert health.components[-1].condition == "unknown"
    assert "too deep" in health.components[-1].reason


@pytest.mark.parametrize(
    "body",
    [
        b'{"status": "DOWN", "status": "UP"}',
        b'{"status": "UP", "components": {"db": {"status": "DOWN"}, "db": {"status": "UP"}}}',
        b'[{"Status": "critical", "Stat\\u0075s": "passing"}]',
    ],
)
def test_an_object_with_a_member_twice_is_not_guessed_at(body: bytes) -> None:
    with pytest.raises(NotAHealthDocument, match="a member twice"):
        parse_json(body)


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
    with pytest.raises(NotAHealthDocument, match="no health checks"):
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
        ("[+]ping ok\r\nhealthz check passed\r\n", 200, "pass"),
        ("[+]ping ok\n[+]queue ok (warning: is long)\nhealthz check passed\n", 200, "warn"),
        ("healthz check passed", 200, "pass"),
        ("[+]ping ok\nhealthz check passed\n", 503, "fail"),
    ],
)
def test_kubernetes_lines_and_single_words_are_read(text: str, status: int, condition: str) -> None:
    health = read_text(text, status)

    assert health
    assert health.condition == condition
    if "etcd" in text:
        assert [part.name for part in health.components] == ["ping", "etcd"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[+]db ok\n  [-]cache failed\nreadyz check passed\n", 'the line "  [-]cache failed" is not understood'),
        ("[+]db ok\n\t[+]cache ok\nreadyz check passed\n", 'the line "\\t[+]cache ok" is not understood'),
        ("[+]db ok\n[!]cache ok\nreadyz check passed\n", 'the line "[!]cache ok" is not understood'),
        ("[+]db ok\n[ ]cache ok\n", 'the line "[ ]cache ok" is not understood'),
        ("[!]cache ok\n", 'the line "[!]cache ok" is not understood'),
        ("[+]db ok\n[?]cache", 'the line "[?]cache" is not understood'),
        ("[+]db ok\nreadyz check failed\n", "readyz check failed"),
        ("[+]db ok\nlivez check failed", "livez check failed"),
        ("readyz check failed", "readyz check failed"),
        ("[+]db ok\nreadyz check pending", "readyz check pending"),
        ("[+]db failed: no connection", 'the line "[+]db failed: no connection" is not understood'),
        ("[+]db failed, cache ok", "is not understood"),
        ("[+]db ok but slow", "is not understood"),
        ("[+]db ok[-]cache failed", "is not understood"),
        ("[+]db ok\x0b[-]cache failed", "is not understood"),
        ("[+]db", "is not understood"),
        ("[+]db ok\nTraceback (most recent call last):\n", "is not understood"),
        ("[+]db ok\n[-]", "is not understood"),
        ("[+]x check passed", "is not understood"),
        ("  [+]db ok", "is not understood"),
    ],
)
def test_whatever_is_not_kubernetes_grammar_of_success_fails_and_says_which_line(text: str, told: str) -> None:
    health = read_text(text, 200)

    assert health
    assert health.condition == "fail"
    assert any(part.condition == "fail" and told in part.reason for part in health.components)
    assert ("not understood" in health.problem) == ("not understood" in told)


LINES = st.sampled_from(
    [
        "[+]a ok",
        "[+]b excluded: ok",
        "warn: note",
        "readyz check passed",
        "ok",
        "",
        "[-]c failed: why",
        "[!]d",
        " [+]e ok",
    ]
)


@given(st.lists(LINES, min_size=1, max_size=6).map("\n".join))
def test_lines_are_a_pass_only_if_each_of_them_is(text: str) -> None:
    health = read_text(text, 200)

    if health and health.up:
        assert not any(bad in text for bad in ("[-]", "[!]", " [+]"))


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


WORDS = StatusWords({"success": 1.0, "restricted": 0.5, "broken": 0.0, "7": 1.0})
TOLD = DocumentOptions(words=WORDS)


@pytest.mark.parametrize(
    ("word", "condition"),
    [("SUCCESS", "pass"), ("Restricted", "warn"), ("broken", "fail"), (7, "pass"), ("UP", "pass"), ("else", "unknown")],
)
def test_words_of_the_settings_are_understood_in_every_dialect(word: object, condition: str) -> None:
    part = {"status": word}
    for document in (
        {"status": "UP", "components": {"x": part}},
        {"status": "UP", "components": {"x": word}},
        {"status": "UP", "checks": [{"name": "x", **part}]},
        {"status": "UP", "checks": {"x": [part]}},
        {"status": "UP", "checks": {"x": word}},
        {"status": "UP", "entries": {"x": part}},
        [{"CheckID": "x", "Status": word}, {"CheckID": "y", "Status": "passing"}],
    ):
        assert conditions(read_json(document, 200, TOLD))["x"] == condition
    assert read_json({"status": word, "components": {"a": {"status": "UP"}}}, 200, TOLD).condition == condition


def test_a_status_that_is_not_known_is_unknown_with_its_reason_and_the_parts_are_kept() -> None:
    document = {"status": "UP_WITH_CAUTION", "components": {"db": {"status": "UP"}, "mq": {"status": "SLOWISH"}}}

    health = read_json(document, 200)

    assert health.condition == "unknown"
    assert conditions(health) == {"db": "pass", "mq": "unknown"}
    assert health.words.startswith('its status is "UP_WITH_CAUTION", which is not known: ADAPTER_STATUS_VALUES')
    assert "CAUTION" not in health.problem
    assert health.components[1].reason == 'its status is "SLOWISH", which is not known'


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
    assert "unknown" in conditions(read_json(document, 200)).values()


@pytest.mark.parametrize("count", [2_000, 8_000])
def test_thousands_of_checks_of_one_name_are_named_in_one_pass(count: int) -> None:
    class Name(str):
        """Counts how often it is looked up."""

        __slots__ = ()
        looked_up = 0

        def __hash__(self) -> int:
            Name.looked_up += 1
            return super().__hash__()

        __eq__ = str.__eq__

    parts = [Component(Name("a"), "pass") for _ in range(count)]
    Name.looked_up = 0

    names = [part.name for part in named(parts, 1_000_000)]

    assert names == ["a", *(f"a#{number}" for number in range(2, count + 1))]
    assert Name.looked_up <= 4 * count


def test_a_document_of_more_components_than_series_have_room_for_is_refused_before_it_is_translated() -> None:
    document = {"status": "UP", "checks": [{"name": "a", "status": "UP"}] * 101}

    assert len(read_json(document, 200, DocumentOptions(most=606)).components) == 101
    with pytest.raises(NotAHealthDocument, match="ADAPTER_MAX_SERIES"):
        read_json(document, 200, DocumentOptions(most=605))


def test_a_long_name_with_many_numbers_inside_is_not_repeated_for_each_of_them() -> None:
    details = {"x" * 1_000_000: dict.fromkeys(map(str, range(5_000)), 1)}

    health = read_json({"status": "UP", "components": {"a": {"status": "UP", "details": details}}}, 200)

    assert all(len(name) <= 200 for name in health.components[0].values)


def test_two_components_of_one_name_keep_apart() -> None:
    document = {"status": "UP", "checks": [{"name": name, "status": "UP"} for name in ("a", "a", "a#2", "a")]}

    assert list(conditions(read_json(document, 200))) == ["a", "a#2", "a#2#2", "a#3"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nonsense", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b'{"a": ' + b"9" * 10_000 + b"}"],
)
def test_what_is_no_json_is_refused_and_not_repeated(body: bytes) -> None:
    with pytest.raises(NotAHealthDocument) as caught:
        parse_json(body)

    assert "nonsense" not in str(caught.value)


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
def test_any_json_is_a_health_document_or_refused(document: Any, status: int) -> None:
    try:
        health = read_json(json.loads(json.dumps(document)), status)
    except NotAHealthDocument:
        return
    assert health.condition in CONDITIONS
    names = [part.name for part in health.components]
    assert len(names) == len(set(names))


def test_hundreds_of_levels_are_no_danger() -> None:
    document: dict[str, Any] = {"status": "UP"}
    for _ in range(300):
        document = {"status": "UP", "components": {"x": document}}

    assert len(read_json(document, 200).components) < 30

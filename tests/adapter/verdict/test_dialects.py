"""A verdict in the words of each monitoring system, judged by what their formats demand.

(Real consumers, HAProxy and others, are asked in test_consumers.py.)
"""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.health import documents
from sidecars.adapter.health.kubernetes_lines import read_text
from sidecars.adapter.verdict.dialect_negotiation import DIALECT_NAMES, Format
from sidecars.adapter.verdict.dialects import DIALECTS, agent_line, render
from sidecars.adapter.verdict.verdict import STATUSES, Check, Status, Verdict, combine_apps, verdict_of

DB = Check("db", "pass", "", 1.0, 1.0, comparison="==")
MEMORY = Check("memory", "warn", "used_bytes is 0.95, wanted < 0.9", 0.95, 0.9, comparison="<", severity="warn")
QUEUE = Check("queue", "fail", "no series queue_length")
VERDICTS: dict[Status, Verdict] = {
    "pass": verdict_of([DB]),
    "warn": verdict_of([DB, MEMORY]),
    "fail": verdict_of([DB, MEMORY, QUEUE]),
}


def document(form: Format, verdict: Verdict) -> Any:
    return json.loads(render(verdict, form).body)


def body(form: Format, status: Status, path: str = "/health", query: str = "") -> str:
    return render(VERDICTS[status], form, path, query).body.decode()


# -- status codes, by what each kind of prober takes for good -------------------------------------------------------


@pytest.mark.parametrize("form", DIALECT_NAMES)
def test_a_pass_is_200_and_a_failure_is_an_error(form: Format) -> None:
    assert render(VERDICTS["pass"], form).status == 200
    assert render(VERDICTS["fail"], form).status == (500 if form == "kubernetes" else 503)
    assert [render(VERDICTS[status], form).good for status in STATUSES] == [True, True, False]
    assert render(VERDICTS["warn"], form).status == (429 if form in ("consul", "nagios") else 200)


@pytest.mark.parametrize("form", DIALECT_NAMES)
@pytest.mark.parametrize("status", STATUSES)
def test_the_reason_of_a_failure_is_told_and_kept_for_the_log(form: Format, status: Status) -> None:
    answer = render(VERDICTS[status], form, "/readyz", "verbose")

    assert ("no series queue_length" in answer.body.decode()) == (status == "fail")
    assert ("no series queue_length" in answer.why) == (status == "fail")
    assert answer.headers["Cache-Control"] == "no-store"


# -- text ---------------------------------------------------------------------------------------------------------


def test_text_has_a_line_for_the_whole_and_one_for_each_check() -> None:
    assert body("text", "pass") == "pass\ndb pass (1, wanted == 1)\n"
    assert body("text", "fail").splitlines() == [
        "fail: queue: no series queue_length; memory: used_bytes is 0.95, wanted < 0.9",
        "db pass (1, wanted == 1)",
        "memory warn (0.95, wanted < 0.9): used_bytes is 0.95, wanted < 0.9",
        "queue fail: no series queue_length",
    ]


def test_consul_reads_text_without_what_changes_from_check_to_check() -> None:
    assert body("consul", "fail").splitlines() == [
        "fail: queue, memory",
        "db pass (wanted == 1)",
        "memory warn (wanted < 0.9)",
        "queue fail: no series queue_length",
    ]


def steady(number: float) -> Verdict:
    """A verdict in which nothing but this number changes."""
    rule = {"is_rule": True, "comparison": "<", "threshold": 5.0}
    checks = [
        Check("db", "pass", "", number, **rule),  # type: ignore[arg-type] # each is what it says
        Check("queue", "warn", f"queue is {number:g}, wanted < 5", number, **rule),  # type: ignore[arg-type] # as above
        Check("fresh", "fail", f"the newest sample of seen is {number:.0f}s old", is_rule=True),
        Check("app", "fail", f"http://127.0.0.1:8080/metrics answered with the status 500 after {number:.0f} B"),
        Check(
            "disk", "warn", "the app says warn", words=f"{number * 1e9:.0f} bytes of 4096 are free, {number:g} % (5.5m)"
        ),
    ]
    return Verdict("fail", tuple(checks), f"start-up grace, {number:.0f}s left")


def test_consuls_body_stays_the_same_while_the_state_does() -> None:
    bodies = {render(steady(number), "consul").body.decode() for number in (1, 2.5, 1234567, 1e-7, 1e21)}

    [steady_body] = bodies
    assert steady_body.splitlines() == [
        "fail: start-up grace, … left, fresh, app, queue, disk",
        "db pass (wanted < 5)",
        "queue warn (wanted < 5)",
        "fresh fail: the newest sample of seen is … old",
        "app fail: http://127.0.0.1:8080/metrics answered with the status 500 after … B",
        "disk warn: … bytes of … are free, … % (…)",
    ]


# -- kubernetes ---------------------------------------------------------------------------------------------------


def test_kubernetes_gets_ok_and_the_checks_where_it_asks_for_them() -> None:
    assert body("kubernetes", "pass", "/readyz") == "ok\n"
    assert body("kubernetes", "pass", "/readyz", "verbose") == "[+]db ok\nreadyz check passed\n"
    assert body("kubernetes", "pass", "/readyz", "verbose=1&x=y") == "[+]db ok\nreadyz check passed\n"


def test_kubernetes_gets_the_checks_of_a_failure_always() -> None:
    assert body("kubernetes", "fail", "/livez/").splitlines() == [
        "[+]db ok",
        "[+]memory ok (warning: used_bytes is 0.95, wanted < 0.9)",
        "[-]queue failed: no series queue_length",
        "livez check failed",
    ]


def test_kubernetes_may_exclude_a_check() -> None:
    answer = render(VERDICTS["fail"], "kubernetes", "/readyz", "verbose&exclude=queue")

    assert answer.status == 200
    assert "[+]queue excluded: ok\n" in answer.body.decode()


def test_to_exclude_every_check_is_to_exclude_none() -> None:
    answer = render(VERDICTS["fail"], "kubernetes", "/readyz", "exclude=queue&exclude=memory&exclude=db")

    assert answer.status == 500


# -- health+json: draft-inadarei-api-health-check-06 ---------------------------------------------------------------

HEALTH_JSON = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"enum": ["pass", "fail", "warn"]},
        "notes": {"type": "array", "items": {"type": "string"}},
        "output": {"type": "string"},
        "checks": {
            "type": "object",
            "propertyNames": {"pattern": "^[^:]+(:[^:]+)?$"},
            "additionalProperties": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "status": {"enum": ["pass", "fail", "warn"]},
                        "observedValue": {},
                        "output": {"type": "string"},
                    },
                },
            },
        },
    },
}


@pytest.mark.parametrize("status", STATUSES)
def test_health_json_is_what_the_draft_demands(status: Status) -> None:
    answer = render(VERDICTS[status], "health+json")
    found = json.loads(answer.body)

    assert answer.headers["Content-Type"] == "application/health+json"
    jsonschema.validate(found, HEALTH_JSON)
    assert found["status"] == status
    assert ("output" in found) == (status != "pass"), "the draft: output should be omitted for a pass"
    assert found["checks"]["db"] == [{"status": "pass", "observedValue": 1, "wanted": "== 1"}]


def test_a_check_of_one_of_several_apps_is_component_and_measurement() -> None:
    found = document("health+json", combine_apps({"shop": VERDICTS["pass"], "cart": VERDICTS["fail"]}))

    jsonschema.validate(found, HEALTH_JSON)
    assert {"shop:db", "cart:db", "cart:memory", "cart:queue"} == set(found["checks"])


# -- spring -------------------------------------------------------------------------------------------------------

SPRING: dict[str, Any] = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"enum": ["UP", "DOWN", "OUT_OF_SERVICE", "UNKNOWN"]},
        "details": {"type": "object"},
        "components": {"type": "object", "additionalProperties": {"$ref": "#"}},
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize("status", STATUSES)
def test_spring_is_what_its_actuator_documents(status: Status) -> None:
    answer = render(VERDICTS[status], "spring")
    found = json.loads(answer.body)

    assert answer.headers["Content-Type"] == "application/vnd.spring-boot.actuator.v3+json"
    jsonschema.validate(found, SPRING)
    assert found["status"] == ("DOWN" if status == "fail" else "UP")


def test_springs_components_of_several_apps_are_nested() -> None:
    found = document("spring", combine_apps({"shop": VERDICTS["pass"], "cart": VERDICTS["fail"]}))

    jsonschema.validate(found, SPRING)
    assert found["components"]["shop"]["status"] == "UP"
    assert found["components"]["cart"]["status"] == "DOWN"
    assert found["components"]["cart"]["components"]["queue"]["details"]["reason"] == "no series queue_length"


# -- microprofile: the demands of the schema in MicroProfile Health's TCK, and of section 3 of its specification ----

MICROPROFILE = {
    "type": "object",
    "required": ["status", "checks"],
    "additionalProperties": False,
    "properties": {
        "status": {"enum": ["UP", "DOWN"]},
        "checks": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "status"],
                "properties": {
                    "name": {"type": "string"},
                    "status": {"enum": ["UP", "DOWN"]},
                    "data": {"type": "object", "additionalProperties": {"type": ["string", "boolean", "number"]}},
                },
            },
        },
    },
}


@pytest.mark.parametrize("status", STATUSES)
def test_microprofile_is_what_its_schema_demands(status: Status) -> None:
    found = document("microprofile", VERDICTS[status])

    jsonschema.validate(found, MICROPROFILE)
    assert found["status"] == ("DOWN" if status == "fail" else "UP")
    assert found["checks"][0] == {"name": "db", "status": "UP", "data": {"value": 1, "wanted": "== 1"}}


# -- nagios: the Monitoring Plugins' development guidelines ---------------------------------------------------------

NUMBER = r"-?\d+(\.\d+)?"
RANGE = rf"@?(~|{NUMBER})?:?({NUMBER})?"
DATUM = rf"'(?:[^'=|]|'')+'={NUMBER}(;{RANGE}){{0,2}}"
PERFORMANCE = re.compile(rf"{DATUM}( {DATUM})*")


@pytest.mark.parametrize(("status", "word"), [("pass", "OK"), ("warn", "WARNING"), ("fail", "CRITICAL")])
def test_nagios_gets_one_line_and_performance_data(status: Status, word: str) -> None:
    line = body("nagios", status)
    text, _, data = line.rstrip("\n").partition("|")

    assert line.count("\n") == 1
    assert text.startswith(f"{word} - ")
    assert PERFORMANCE.fullmatch(data)
    assert data.startswith("'db'=1;;1:1")
    assert ("'memory'=0.95;~:0.9" in data) == (status != "pass")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1e-7, "0.0000001"),
        (-2.5e-12, "-0.0000000000025"),
        (0.1 + 0.2, "0.3"),
        (1.23456789e-5, "0.0000123456789"),
        (0.0, "0"),
        (100.0, "100"),
        (123456.789, "123456.789"),
    ],
)
def test_nagios_reads_small_numbers_as_they_are(value: float, written: str) -> None:
    verdict = verdict_of([Check("x", "pass", "", value, value, comparison="<")])

    assert render(verdict, "nagios").body.decode() == f"OK - 1 check passes|'x'={written};;~:{written}\n"


def test_nagios_labels_are_quoted_and_numbers_have_no_exponent() -> None:
    verdict = verdict_of([Check("it's=a|b", "pass", "", 1e-3), Check("big", "pass", "", 1e21), Check("nan", "pass")])

    assert render(verdict, "nagios").body == b"OK - 3 checks pass|'it''s-a/b'=0.001 'big'=1000000000000000000000\n"


# -- haproxy-agent ------------------------------------------------------------------------------------------------


def test_haproxy_is_told_up_or_down_and_why_in_ascii() -> None:
    assert agent_line(VERDICTS["pass"]) == agent_line(VERDICTS["warn"]) == b"up\n"
    assert agent_line(verdict_of([Check("d\u00e4", "fail", "is\naway")])) == b"down #d?: is away\n"


# -- all of them --------------------------------------------------------------------------------------------------

NAMES = st.text(max_size=60)
NUMBERS = st.none() | st.floats(allow_nan=True, allow_infinity=True)


def _checks(apps: list[str]) -> st.SearchStrategy[list[Check]]:
    one = st.builds(
        Check, NAMES, st.sampled_from(STATUSES), st.text(max_size=500), NUMBERS, NUMBERS, st.sampled_from(apps)
    )
    return st.lists(one, max_size=60)


MANY = st.one_of(_checks([""]), _checks(["a", "b"]))  # of one app, or of several


@given(MANY, st.sampled_from(DIALECT_NAMES), st.text(max_size=50), st.sampled_from(["", "verbose"]))
def test_no_answer_is_larger_than_4_kb_or_breaks_its_format(
    checks: list[Check], form: Format, holding: str, query: str
) -> None:
    verdict = Verdict(verdict_of(checks).status, tuple(checks), holding)

    answer = render(verdict, form, "/health", query)

    assert len(answer.body) <= 4096
    assert answer.body.endswith(b"\n")
    if "json" in DIALECTS[form].content_type:
        json.loads(answer.body, parse_constant=pytest.fail)
    if form in ("nagios", "haproxy-agent"):
        assert answer.body.count(b"\n") == 1


@pytest.mark.parametrize("form", ["text", "kubernetes", "health+json", "spring", "microprofile"])
def test_what_does_not_fit_is_told_and_what_fails_is_left_out_last(form: Format) -> None:
    for many in (300, 5000):
        checks = [Check(f"check-{number}", "pass", "", 1.0) for number in range(many)] + [QUEUE]

        told = render(verdict_of(checks), form).body.decode()

        assert "no series queue_length" in told
        assert re.search(rf"\d+ of {many + 1} checks are left out", told)


@pytest.mark.parametrize("form", ["kubernetes", "health+json", "spring", "microprofile"])
@pytest.mark.parametrize("status", STATUSES)
def test_each_dialect_is_read_back_by_what_reads_the_apps_own(form: Format, status: Status) -> None:
    answer = render(VERDICTS[status], form, "/health", "verbose")

    if form == "kubernetes":
        health = read_text(answer.body.decode(), answer.status)
    else:
        health = documents.read_json(json.loads(answer.body), answer.status)

    assert health
    assert health.up == (status != "fail")
    assert {part.name for part in health.components} == {check.name for check in VERDICTS[status].checks}


@pytest.mark.parametrize("form", DIALECT_NAMES)
def test_nothing_that_an_app_has_written_is_obeyed_by_a_terminal(form: Format) -> None:
    hostile = "db\x1b]0;owned\x07 \x9b2J\x7f\u202edetrevni\ud800"
    verdict = verdict_of([Check(hostile, "fail", "is down", words=hostile), Check("rule", "fail", hostile, app="shop")])

    for path, query in (("/health", ""), ("/readyz", "verbose")):
        shown = render(verdict, form, path, query).body.decode()
        assert all(line.isprintable() for line in shown.removesuffix("\n").split("\n"))
        if "json" in DIALECTS[form].content_type:
            assert repr("db\x1b]0;owned").strip("'") in repr(json.loads(shown))
    assert agent_line(verdict).isascii()

"""Every dialect: HTTP statuses, size and safety of a response."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecars.adapter.health.json_documents import read_json
from sidecars.adapter.health.kubernetes_lines import read_text
from sidecars.adapter.setting_types import DIALECT_NAMES, DialectName
from sidecars.adapter.verdict.dialects import DIALECTS, agent_line, render_verdict
from sidecars.adapter.verdict.verdict import STATUSES, Check, Status, Verdict, verdict_of
from tests.adapter.verdicts import QUEUE, VERDICTS

# -- HTTP statuses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", DIALECT_NAMES)
def test_a_pass_is_200_and_a_failure_is_an_error(form: DialectName) -> None:
    assert render_verdict(VERDICTS["pass"], form).status == 200
    assert render_verdict(VERDICTS["fail"], form).status == (500 if form == "kubernetes" else 503)
    assert [render_verdict(VERDICTS[status], form).passing for status in STATUSES] == [True, True, False]
    assert render_verdict(VERDICTS["warn"], form).status == (429 if form in ("consul", "nagios") else 200)


@pytest.mark.parametrize("form", DIALECT_NAMES)
@pytest.mark.parametrize("status", STATUSES)
def test_the_reason_of_a_failure_is_told_and_kept_for_the_log(form: DialectName, status: Status) -> None:
    response = render_verdict(VERDICTS[status], form, "/readyz", "verbose")

    assert ("no series queue_length" in response.body.decode()) == (status == "fail")
    assert ("no series queue_length" in response.reason) == (status == "fail")
    assert response.headers["Cache-Control"] == "no-store"


# -- size and safety of all dialects ------------------------------------------------------------------------------

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
    checks: list[Check], form: DialectName, holding: str, query: str
) -> None:
    verdict = Verdict(verdict_of(checks).status, tuple(checks), holding)

    response = render_verdict(verdict, form, "/health", query)

    assert len(response.body) <= 4096
    assert response.body.endswith(b"\n")
    if "json" in DIALECTS[form].content_type:
        json.loads(response.body, parse_constant=pytest.fail)
    if form in ("nagios", "haproxy-agent"):
        assert response.body.count(b"\n") == 1


@pytest.mark.parametrize("form", ["text", "kubernetes", "health+json", "spring", "microprofile"])
def test_what_does_not_fit_is_told_and_what_fails_is_left_out_last(form: DialectName) -> None:
    for many in (300, 5000):
        checks = [Check(f"check-{number}", "pass", "", 1.0) for number in range(many)] + [QUEUE]

        text = render_verdict(verdict_of(checks), form).body.decode()

        assert "no series queue_length" in text
        assert re.search(rf"\d+ of {many + 1} checks are left out", text)


@pytest.mark.parametrize("form", ["kubernetes", "health+json", "spring", "microprofile"])
@pytest.mark.parametrize("status", STATUSES)
def test_each_dialect_is_read_back_by_what_reads_the_apps_own(form: DialectName, status: Status) -> None:
    response = render_verdict(VERDICTS[status], form, "/health", "verbose")

    if form == "kubernetes":
        health = read_text(response.body.decode(), response.status)
    else:
        health = read_json(json.loads(response.body), response.status)

    assert health
    assert health.up == (status != "fail")
    assert {part.name for part in health.components} == {check.name for check in VERDICTS[status].checks}


@pytest.mark.parametrize("form", DIALECT_NAMES)
def test_nothing_that_an_app_has_written_is_obeyed_by_a_terminal(form: DialectName) -> None:
    hostile = "db\x1b]0;owned\x07 \x9b2J\x7f\u202edetrevni\ud800"
    verdict = verdict_of(
        [Check(hostile, "fail", "is down", detail=hostile), Check("rule", "fail", hostile, app="shop")]
    )

    for path, query in (("/health", ""), ("/readyz", "verbose")):
        shown = render_verdict(verdict, form, path, query).body.decode()
        assert all(line.isprintable() for line in shown.removesuffix("\n").split("\n"))
        if "json" in DIALECTS[form].content_type:
            assert repr("db\x1b]0;owned").strip("'") in repr(json.loads(shown))
    assert agent_line(verdict).isascii()

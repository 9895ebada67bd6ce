"""Bodies of the dialects of text, judged by the demands of their formats."""

from __future__ import annotations

import re

import pytest

from sidecars.adapter.verdict.dialects import agent_line, render_verdict
from sidecars.adapter.verdict.verdict import NO_RESPONSE, Check, Status, Verdict, verdict_of
from tests.adapter.verdicts import VERDICTS, body

# -- text ---------------------------------------------------------------------------------------------------------


def test_text_has_a_line_for_the_whole_and_one_for_each_check() -> None:
    assert body("text", "pass") == "pass\ndb pass (1, wanted == 1)\n"
    assert body("text", "fail").splitlines() == [
        "fail: queue: no series queue_length; memory: used_bytes is 0.95, wanted < 0.9",
        "db pass (1, wanted == 1)",
        "memory warn (0.95, wanted < 0.9): used_bytes is 0.95, wanted < 0.9",
        "queue fail: no series queue_length",
    ]


def test_text_has_the_cause_of_an_app_without_a_response_once() -> None:
    rules = [Check(name, "fail", NO_RESPONSE, app="cart", is_rule=True) for name in ("up", "depth")]
    silent = verdict_of(
        [Check("app", "fail", "connection refused", app="cart"), *rules, Check("db", "pass", app="shop")]
    )
    named = verdict_of([Check("app", "fail", "connection refused", app="cart"), Check("db", "fail", "it is down")])

    assert render_verdict(silent, "text", "/health").body.decode().splitlines() == [
        "fail: cart/app: connection refused",
        *("cart/app fail", "cart/up fail", "cart/depth fail", "shop/db pass"),
    ]
    assert "cart/app fail: connection refused" in render_verdict(named, "text", "/health").body.decode()
    assert "cart/up fail: no data" in render_verdict(verdict_of(rules), "text", "/health").body.decode()


def test_consul_reads_text_without_what_changes_from_check_to_check() -> None:
    assert body("consul", "fail").splitlines() == [
        "fail: queue, memory",
        "db pass (wanted == 1)",
        "memory warn (wanted < 0.9)",
        "queue fail: no series queue_length",
    ]


def steady(number: float) -> Verdict:
    """Return a verdict in which only the measured number differs."""
    rule = {"is_rule": True, "comparison": "<", "threshold": 5.0}
    checks = [
        Check("db", "pass", "", number, **rule),  # type: ignore[arg-type] # each is a valid status
        Check("queue", "warn", f"queue is {number:g}, wanted < 5", number, **rule),  # type: ignore[arg-type] # each is a valid status
        Check("fresh", "fail", f"the newest sample of seen is {number:.0f}s old", is_rule=True),
        Check("app", "fail", f"http://127.0.0.1:8080/metrics answered with the status 500 after {number:.0f} B"),
        Check(
            "disk",
            "warn",
            "the app reports warn",
            detail=f"{number * 1e9:.0f} bytes of 4096 are free, {number:g} % (5.5m)",
        ),
    ]
    return Verdict("fail", tuple(checks), f"start-up grace, {number:.0f}s left")


def test_consuls_body_stays_the_same_while_the_state_does() -> None:
    bodies = {render_verdict(steady(number), "consul").body.decode() for number in (1, 2.5, 1234567, 1e-7, 1e21)}

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
    response = render_verdict(VERDICTS["fail"], "kubernetes", "/readyz", "verbose&exclude=queue")

    assert response.status == 200
    assert "[+]queue excluded: ok\n" in response.body.decode()


def test_to_exclude_every_check_is_to_exclude_none() -> None:
    response = render_verdict(VERDICTS["fail"], "kubernetes", "/readyz", "exclude=queue&exclude=memory&exclude=db")

    assert response.status == 500


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

    assert render_verdict(verdict, "nagios").body.decode() == f"OK - 1 check passes|'x'={written};;~:{written}\n"


def test_nagios_labels_are_quoted_and_numbers_have_no_exponent() -> None:
    verdict = verdict_of([Check("it's=a|b", "pass", "", 1e-3), Check("big", "pass", "", 1e21), Check("nan", "pass")])

    assert (
        render_verdict(verdict, "nagios").body == b"OK - 3 checks pass|'it''s-a/b'=0.001 'big'=1000000000000000000000\n"
    )


# -- haproxy-agent ------------------------------------------------------------------------------------------------


def test_haproxy_is_told_up_or_down_and_why_in_ascii() -> None:
    assert agent_line(VERDICTS["pass"]) == agent_line(VERDICTS["warn"]) == b"up\n"
    assert agent_line(verdict_of([Check("d\u00e4", "fail", "is\naway")])) == b"down #d?: is away\n"

"""The adapter as a process in the mode verdict: rules decide, and the response has the reason."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import pytest

from tests.adapter.conftest import StartAdapter
from tests.adapter.support import JSON, RULES, Adapter, App, hold_until, page, probe_together, respond
from tests.conftest import Start
from tests.support import free_port, wait_until


def test_health_is_judged_from_metrics_and_the_reason_is_told(adapter: StartAdapter) -> None:
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES=RULES)
        assert running.get("/health").text.splitlines()[0] == "pass"

        app.behaviours["/metrics"] = page(depth=12)
        warned = running.get("/health", Accept="application/health+json")
        app.behaviours["/metrics"] = page(up=0)
        failed = running.get("/health")

    assert (warned.status_code, warned.json()["status"]) == (200, "warn")
    assert failed.status_code == 503
    assert failed.text.startswith("fail: db: ")


def test_status_and_metrics_tell_each_rule_with_its_value_its_threshold_and_its_last_error(
    adapter: StartAdapter,
) -> None:
    with App({"/metrics": page(up=0)}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES=RULES)
        running.get("/health")
        app.behaviours["/metrics"] = page()
        running.get("/health")

    reported = running.status()["routes"]["/health"]["verdict"]
    db = reported["checks"]["db"]
    assert reported["status"] == "pass"
    assert (db["status"], db["value"], db["threshold"]) == ("pass", 1, 1)
    assert "0" in db["last_error"]["reason"]
    assert db["since"] > db["last_error"]["at"]
    assert reported["checks"]["queue"]["last_error"] is None
    assert running.metric("adapter_rule_value", route="/health", rule="queue") == 3
    assert running.metric("adapter_rule_pass", route="/health", rule="db") == 1
    assert running.metric("adapter_verdict", route="/health", status="pass") == 1


def test_a_bad_rule_is_a_bad_setting_told_with_its_column(start: Start) -> None:
    program = start("adapter", ADAPTER_MODE="verdict", ADAPTER_RULES="db: up == 1; queue: depth <> 10")

    assert program.wait() == 78
    said = program.logs[-1]["msg"]
    assert said.startswith("ADAPTER_RULES=")
    assert "column" in said
    assert "^" in said


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("RULES", 'db: up{job="\\U99999999"} == 1'),
        ("RULES", " + ".join(["up"] * 1200) + " < 1"),
        ("RULES", "(" * 3000 + "up"),
        ("RULES", "up < " + "9" * 5000 + "s"),
        ("RULES", 'up{job=~"(" } == 1'),
        ("SELECT", "x=$" + ".a" * 1200),
        ("SELECT", "x=$.a[?(@.b==007)]"),
        ("SELECT", "x=$.a[?(@.b==" + "9" * 5000 + ")]"),
    ],
)
@pytest.mark.parametrize("by_file", [False, True], ids=["by the variable", "by file"])
def test_every_mistake_in_a_users_text_is_one_sentence_with_its_place_at_the_start(
    start: Start, tmp_path: Path, setting: str, value: str, *, by_file: bool
) -> None:
    (tmp_path / "text").write_text(value)
    given = {f"ADAPTER_{setting}_FILE": str(tmp_path / "text")} if by_file else {f"ADAPTER_{setting}": value}

    program = start("adapter", ADAPTER_MODE="verdict", **given)

    assert program.wait() == 78
    said = program.logs[-1]["msg"]
    assert "line 1, column" in said
    assert "Traceback" not in program.stderr


def test_a_file_of_rules_that_breaks_without_a_probe_is_never_told_as_in_force(
    adapter: StartAdapter, tmp_path: Path
) -> None:
    file = tmp_path / "rules"
    file.write_text("db: up == 1")
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES_FILE=str(file))
        assert running.status()["rules"]["default"] == "in force as the file has them"

        for broken in ('db: up{job="\\U99999999"} == 1', " + ".join(["up"] * 1200) + " < 1"):
            file.with_name("new").write_text(broken)
            file.with_name("new").replace(file)
            assert "line 1, column" in running.status()["rules"]["default"]
            assert running.metric("adapter_rules_current", app="default") == 0
            assert running.get("/health").status_code == 200
    assert len([line for line in running.program.logs if "earlier ones stay in force" in line["msg"]]) == 2


def test_rules_by_file_are_followed_and_a_bad_new_file_keeps_the_old(adapter: StartAdapter, tmp_path: Path) -> None:
    file = tmp_path / "rules"

    def write(text: str) -> None:
        file.with_name("new").write_text(text)
        file.with_name("new").replace(file)

    write("db: up == 1")
    with App({"/metrics": page(depth=12)}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES_FILE=str(file))
        assert running.get("/health").status_code == 200
        assert running.metric("adapter_rules_current", app="default") == 1

        write("queue: depth < 10")
        assert running.get("/health").text.startswith("fail: queue: ")
        write("queue: depth <> 10")
        assert running.get("/health").text.startswith("fail: queue: ")
        assert "column" in running.status()["rules"]["default"]
        assert running.metric("adapter_rules_current", app="default") == 0
        write("queue: depth < 100")
        assert running.get("/health").status_code == 200
    assert running.program.logged("the new rules cannot be used; the earlier ones stay in force")


@pytest.mark.parametrize(
    ("environ", "body", "status", "headers", "reported"),
    [
        (
            {"ADAPTER_SELECT": "u=$.nodes[*].state", "ADAPTER_RULES": "nodes: u == 1"},
            b'{"nodes":[{"state":"ok"},{"state":"offline"}]}', "200 OK", JSON,
            'fail: nodes: $.nodes[1].state is "offline"',
        ),
        (
            {"ADAPTER_SELECT": "v=$.v", "ADAPTER_RULES": "v: v == 1"},
            b'{"v":1}', "500 Internal Server Error", JSON,
            "answered with the status 500",
        ),
        ({}, b'{"status":"UP_WITH_CAUTION"}', "200 OK", JSON, 'fail: app: its status is "UP_WITH_CAUTION"'),
        ({}, b"[+]db ok\n  [-]cache failed\n", "200 OK", b"Content-Type: text/plain\r\n", "[-]cache"),
        ({}, b"[+]db ok\n[!]cache\nreadyz check passed\n", "200 OK", b"Content-Type: text/plain\r\n", "[!]cache"),
        ({}, b"[+]db ok\nreadyz check failed\n", "200 OK", b"Content-Type: text/plain\r\n", "readyz check failed"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_never_healthy(
    adapter: StartAdapter, environ: dict[str, str], body: bytes, status: str, headers: bytes, reported: str
) -> None:
    with App({"/metrics": respond(body, status, headers)}) as app:
        response = adapter(app.url, ADAPTER_MODE="verdict", **environ).get("/health")

    assert response.status_code == 503
    assert reported in response.text


def test_thousands_of_checks_of_one_name_have_their_verdict(adapter: StartAdapter) -> None:
    checks = b",".join([b'{"name":"a","status":"UP"}'] * 8000)
    with App({"/metrics": respond(b'{"status":"UP","checks":[' + checks + b"]}", headers=JSON)}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_TIMEOUT="1m")

        assert running.get("/health").text.startswith("pass\n")
        assert running.get("/health").text.endswith("of 8001 checks are left out here\n")


def _unhealthy(running: Adapter) -> httpx.Response | None:
    response = running.get("/health")
    return response if response.status_code != 200 else None


async def test_three_probers_who_share_an_answer_spend_one_failure_also_the_first_ever(adapter: StartAdapter) -> None:
    release = threading.Event()
    with App({"/metrics": hold_until(release, page(up=0))}) as app:
        running = adapter(
            app.url, ADAPTER_MODE="verdict", ADAPTER_RULES=RULES, ADAPTER_FAIL_AFTER="3", ADAPTER_TIMEOUT="1m"
        )

        reported = await probe_together(running.port, ["/health"] * 3, release.set)

    assert reported == [200] * 3
    assert running.status()["routes"]["/health"]["verdict"]["holding"] == "failed 1 of 3 times in a row"


def test_failures_may_be_held_back_for_a_time(adapter: StartAdapter) -> None:
    with App({"/metrics": page(up=0)}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES=RULES, ADAPTER_FAIL_AFTER="1s")
        first = running.get("/health")
        failed = wait_until(lambda: _unhealthy(running), "a second of failures")

    assert first.text.startswith("warn: failing for 0 of 1s; db: ")
    assert failed.text.startswith("fail: db: ")


def test_what_is_holding_a_verdict_is_told(adapter: StartAdapter) -> None:
    with App({"/metrics": page()}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_RULES=RULES, ADAPTER_FAIL_AFTER="2")
        running.get("/health")
        app.behaviours["/metrics"] = page(up=0)

        held_back = running.get("/health")
        failed = wait_until(lambda: _unhealthy(running), "the second failure")

    assert held_back.status_code == 200
    assert held_back.text.startswith("warn: failed 1 of 2 times in a row; db: ")
    assert failed.status_code == 503


def test_an_app_that_is_not_there_yet_is_a_warning_in_the_grace(adapter: StartAdapter) -> None:
    running = adapter(f"http://127.0.0.1:{free_port()}", ADAPTER_MODE="verdict", ADAPTER_GRACE="1h")

    response = running.get("/health")

    assert response.status_code == 200
    assert response.text.startswith("warn: start-up grace, ")
    assert "connection refused" in response.text
    assert running.status()["routes"]["/health"]["verdict"]["holding"].startswith("start-up grace")


def test_the_apps_own_words_reach_the_prober_and_no_log_or_status(adapter: StartAdapter) -> None:
    document = b'{"status": "DOWN", "components": {"db": {"status": "DOWN", "details": {"error": "hunter2 is wrong"}}}}'
    with App({"/metrics": respond(document, "503 Service Unavailable", JSON)}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_LOG_LEVEL="debug")
        response = running.get("/health")
        failed = running.program.wait_logged("the route fails")

    assert "db: hunter2 is wrong" in response.text
    assert "db: the app reports fail" in failed["reason"]
    assert "hunter2" not in running.program.stderr + str(running.status())


def test_status_tells_each_rule_of_a_request_once_with_its_values_and_what_is_missing_for_a_change(
    adapter: StartAdapter,
) -> None:
    with App({"/metrics": page(depth=3)}) as app:
        running = adapter(
            app.url,
            ADAPTER_MODE="verdict",
            ADAPTER_RULES=RULES,
            ADAPTER_ROUTES="/health=/metrics,/ready=/metrics",
            ADAPTER_FAIL_AFTER="3",
        )
        running.get("/health", Accept="application/health+json")
        running.get("/ready")
        app.behaviours["/metrics"] = page(up=0, depth=12)
        running.get("/ready")

    (found,) = running.status()["requests"]
    assert found["routes"] == ["/health", "/ready"]
    assert found["answer"]["words"].startswith("answered with the status 200 and metrics, ")
    assert 0 <= found["answer"]["duration_seconds"] < 60
    assert found["answer"]["durations"]
    verdict = found["verdict"]
    assert verdict["status"] == "warn"
    assert verdict["hysteresis"].startswith("failed 1 of 3 times in a row: fails after 2 more")
    queue = verdict["checks"]["queue"]
    assert (queue["status"], queue["value"], queue["wanted"], queue["values"][-1]) == ("warn", 12, "< 10", 12)
    assert verdict["checks"]["db"]["reason"]
    assert running.status()["routes"]["/health"]["dialects"] == {"health+json": 1}


def test_status_tells_the_components_of_a_health_document(adapter: StartAdapter) -> None:
    body = b'{"status": "DOWN", "components": {"db": {"status": "DOWN"}, "disk": {"status": "UP"}}}'
    with App({"/metrics": respond(body, "503 Down", JSON)}) as app:
        running = adapter(app.url, ADAPTER_MODE="verdict", ADAPTER_ROUTES="/health=/metrics")
        running.get("/health")

    (found,) = running.status()["requests"]
    assert found["answer"]["words"] == f"answered with the status 503 and a health document, {len(body)} B"
    checks = found["verdict"]["checks"]
    assert {name: (one["status"], one["kind"]) for name, one in checks.items()} == {
        "app": ("fail", "component"),
        "db": ("fail", "component"),
        "disk": ("pass", "component"),
    }
    assert [each for each in found["verdict"]["statuses"] if each is not None] == [0.0]  # the next second has none

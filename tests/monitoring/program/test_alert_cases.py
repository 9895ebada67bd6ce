"""Every alert fires when it must and is quiet when it must be, as Prometheus itself evaluates it."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from tests.monitoring.alert_cases import CASES, Case
from tests.support import ROOT, peer
from tools.monitoring.alerts.groups import ALERTS, RECORDINGS
from tools.monitoring.alerts.rules import Alert

SHOP = 'namespace="shop"'
RULES = ROOT / "deploy" / "monitoring" / "alerts.yaml"
BY_NAME = {alert.name: alert for alert in ALERTS}


def promtool(*arguments: str) -> str:
    """Return what promtool prints; it must exit with 0."""
    done = subprocess.run([peer("promtool"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def filled(template: str, labels: Mapping[str, str], value: str) -> str:
    """Return the text as Prometheus fills it in."""
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], template)
    return re.sub(r"\{\{ \$value [^}]*\}\}", value, text)


def expected(alert: Alert, case: Case, namespace: str) -> dict[str, Any]:
    labels = {**case.labels, "namespace": namespace}
    return {
        "exp_labels": {**labels, "severity": alert.severity},
        "exp_annotations": {
            "summary": filled(alert.summary, labels, case.value),
            "description": alert.description,
            "runbook_url": alert.runbook,
        },
    }


def promtool_test(alert: Alert, cases: Sequence[Case]) -> dict[str, Any]:
    """Return promtool's test of one alert: its cases side by side, each half of a case in a namespace of its own."""
    series: list[dict[str, str]] = []
    for number, case in enumerate(cases):
        for half, given in (("fires", case.fires), ("quiet", case.quiet)):
            own = f'namespace="{half}-{number}"'
            series += [{"series": name.replace(SHOP, own), "values": values} for name, values in given.items()]
    return {
        "interval": "1m",
        "input_series": series,
        "alert_rule_test": [
            {
                "eval_time": cases[0].at,
                "alertname": alert.name,
                "exp_alerts": [expected(alert, case, f"fires-{number}") for number, case in enumerate(cases)],
            }
        ],
    }


def write(file: Path, interval: str, tests: Sequence[dict[str, Any]]) -> str:
    """Write promtool's file. `interval` is the time between two evaluations."""
    content = {"rule_files": [str(RULES)], "evaluation_interval": interval, "tests": tests}
    file.write_text(yaml.safe_dump(content))
    return str(file)


def test_promtool_accepts_the_rules() -> None:
    assert f"SUCCESS: {len(ALERTS) + len(RECORDINGS)} rules found" in promtool("check", "rules", str(RULES))


def test_each_alert_fires_and_is_quiet_as_its_cases_say(tmp_path: Path) -> None:
    short: list[dict[str, Any]] = []
    long: list[dict[str, Any]] = []
    for alert in ALERTS:
        cases = [case for case in CASES if case.alert == alert.name]
        assert len({case.at for case in cases}) == 1
        (long if cases[0].at.endswith("h") else short).append(promtool_test(alert, cases))

    promtool("test", "rules", write(tmp_path / "short.yaml", "1m", short))
    promtool("test", "rules", write(tmp_path / "long.yaml", "10m", long))


def test_promtool_would_tell_an_alert_that_should_not_fire(tmp_path: Path) -> None:
    case = CASES[0]
    swapped = replace(case, fires=case.quiet, quiet=case.fires)
    file = write(tmp_path / "wrong.yaml", "1m", [promtool_test(BY_NAME[case.alert], [swapped])])

    done = subprocess.run([peer("promtool"), "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert case.alert in done.stdout + done.stderr


def test_every_alert_has_a_case_that_fires_and_one_that_is_quiet() -> None:
    cases = Counter(case.alert for case in CASES)
    assert cases.keys() == BY_NAME.keys()
    assert 2 * cases.total() >= 24

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


def write(file: Path, interval: str, rules: Path, tests: Sequence[dict[str, Any]]) -> str:
    """Write promtool's file. `interval` is the time between two evaluations.

    Without an order promtool takes the groups by chance: an alert may then look for a ratio that is recorded later.
    """
    order = [group["name"] for group in yaml.safe_load(rules.read_text())["groups"]]
    whole = {"rule_files": [str(rules)], "evaluation_interval": interval, "group_eval_order": order, "tests": tests}
    file.write_text(yaml.safe_dump(whole))
    return str(file)


def groups_of(folder: Path) -> dict[str, Path]:
    """Return, for each alert, a file with the rules of its group and those that are recorded: fewer are evaluated."""
    found: dict[str, Path] = {}
    recorded, *groups = yaml.safe_load(RULES.read_text())["groups"]
    for group in groups:
        file = folder / f"{group['name']}.rules.yaml"
        needed = [recorded, group] if "ratio_rate" in str(group) else [group]
        file.write_text(yaml.safe_dump({"groups": needed}))
        found |= {rule["alert"]: file for rule in group["rules"]}
    return found


def test_promtool_accepts_the_rules() -> None:
    assert f"SUCCESS: {len(ALERTS) + len(RECORDINGS)} rules found" in promtool("check", "rules", str(RULES))


def test_each_alert_fires_and_is_quiet_as_its_cases_say(tmp_path: Path) -> None:
    files: dict[tuple[Path, str], list[dict[str, Any]]] = {}
    rules = groups_of(tmp_path)
    for alert in ALERTS:
        cases = [case for case in CASES if case.alert == alert.name]
        assert len({case.at for case in cases}) == 1
        interval = "10m" if cases[0].at.endswith("h") else "1m"
        files.setdefault((rules[alert.name], interval), []).append(promtool_test(alert, cases))
    assert sum(map(len, files.values())) == len(ALERTS)

    for (group, interval), tests in files.items():
        promtool("test", "rules", write(tmp_path / f"{group.stem}-{interval}.yaml", interval, group, tests))


def test_promtool_would_tell_an_alert_that_should_not_fire(tmp_path: Path) -> None:
    case = CASES[0]
    swapped = replace(case, fires=case.quiet, quiet=case.fires)
    file = write(tmp_path / "wrong.yaml", "1m", RULES, [promtool_test(BY_NAME[case.alert], [swapped])])

    done = subprocess.run([peer("promtool"), "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert case.alert in done.stdout + done.stderr


def test_every_alert_has_a_case_that_fires_and_one_that_is_quiet() -> None:
    cases = Counter(case.alert for case in CASES)
    assert cases.keys() == BY_NAME.keys()
    assert 2 * cases.total() >= 24

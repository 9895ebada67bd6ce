"""All rules, in groups, as Prometheus and a PrometheusRule take them."""

from __future__ import annotations

from tools.monitoring.alerts import adapter, ambassador, common, logshipper, warcopier
from tools.monitoring.alerts.rules import Alert, Recording

GROUPS: dict[str, tuple[Alert | Recording, ...]] = {
    "sidecars-slo": ambassador.RECORDINGS,
    "sidecars-ambassador": ambassador.ALERTS,
    "sidecars-logshipper": logshipper.ALERTS,
    "sidecars-adapter": adapter.ALERTS,
    "sidecars-warcopier": warcopier.ALERTS,
    "sidecars-all": common.ALERTS,
}
ALERTS = tuple(rule for rules in GROUPS.values() for rule in rules if isinstance(rule, Alert))
RECORDINGS = tuple(rule for rules in GROUPS.values() for rule in rules if isinstance(rule, Recording))


def groups() -> dict[str, object]:
    """Return the content of a file of rules, which is also the `spec` of a PrometheusRule."""
    return {
        "groups": [{"name": name, "rules": [rule.rule() for rule in rules]} for name, rules in GROUPS.items()],
    }

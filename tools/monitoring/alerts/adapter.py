"""The adapter's alerts: the app's verdict, and an app that does not answer."""

from __future__ import annotations

from tools.monitoring.alerts.rules import CRITICAL, WARNING, Alert

ALERTS = (
    Alert(
        "AdapterVerdictFail",
        'max by (namespace, pod, route) (adapter_verdict{status="fail"}) == 1',
        "5m",
        WARNING,
        "the app of {{ $labels.namespace }}/{{ $labels.pod }} fails its rules on {{ $labels.route }}",
        "The response of the route and /status name the rule. The panel 'Rules' shows its value.",
    ),
    Alert(
        "AdapterAppDown",
        "adapter_up == 0",
        "5m",
        CRITICAL,
        "{{ $labels.route }} of {{ $labels.namespace }}/{{ $labels.pod }} has failed for 5 minutes",
        "The app does not answer, answers with an error, or its verdict is fail.",
    ),
    Alert(
        "AdapterRulesStale",
        "adapter_rules_current == 0",
        "10m",
        WARNING,
        "the new rules for {{ $labels.app }} in {{ $labels.namespace }}/{{ $labels.pod }} cannot be used",
        "The file of rules has changed and has a mistake: the rules of before are in force. The log has the mistake.",
    ),
    Alert(
        "AdapterUpstreamErrors",
        "sum by (namespace, app) (rate(adapter_upstream_errors_total[10m]))"
        " / sum by (namespace, app) (rate(adapter_upstream_requests_total[10m])) > 0.1",
        "10m",
        WARNING,
        "{{ $value | humanizePercentage }} of the requests to {{ $labels.app }} in {{ $labels.namespace }} get no"
        " usable response",
        "See the reasons in the panel 'Errors of the app': timeout, refused, malformed and others.",
    ),
)

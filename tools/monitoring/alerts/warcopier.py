"""The warcopier's alerts, for WARCOPIER_WATCH=true: a release that is not published.

A copier that watches runs only when its source changes, so the age of its last success says nothing.
"""

from __future__ import annotations

from tools.monitoring.alerts.rules import CRITICAL, WARNING, Alert

ALERTS = (
    Alert(
        "WarcopierPublishFailing",
        "warcopier_last_run_failed == 1",
        "15m",
        WARNING,
        "the warcopier of {{ $labels.namespace }}/{{ $labels.pod }} cannot publish",
        "What was published before stays in service. The last line of the log has the reason.",
    ),
    Alert(
        "WarcopierStale",
        "warcopier_last_run_failed == 1",
        "1h",
        CRITICAL,
        "{{ $labels.namespace }}/{{ $labels.pod }} has served an old release for an hour",
        "The newest source could not be published, and nothing has changed it since.",
    ),
)

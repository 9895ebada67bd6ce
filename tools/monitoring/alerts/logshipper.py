"""The logshipper's alerts: lines that do not arrive, lines that are lost, and a disk that fills."""

from __future__ import annotations

from tools.monitoring.alerts.rules import CRITICAL, WARNING, Alert

LATE = 300
"""Seconds that a line may wait."""
BACKLOG = 16e6
"""Bytes of a backlog that is worth looking at."""
VOLUME = 1e9
"""Bytes of the volume of the logs, a guess: an emptyDir tells nobody its limit. Deleted files count against it, too."""

ALERTS = (
    Alert(
        "LogshipperNotDelivering",
        f"logshipper_oldest_unacked_seconds > {LATE}"
        " and on (namespace, pod, sink) increase(logshipper_delivered_bytes_total[5m]) == 0",
        "5m",
        CRITICAL,
        "the sink {{ $labels.sink }} of {{ $labels.namespace }}/{{ $labels.pod }} has taken nothing for"
        " {{ $value | humanizeDuration }}",
        "Lines wait in the app's files: nothing is lost until the volume is full or a file is deleted.",
    ),
    Alert(
        "LogshipperLinesLost",
        "sum by (namespace, pod, sink, reason)"
        ' (increase(logshipper_dropped_bytes_total{reason=~"rejected|expired|lost|given_up|cut"}[10m])) > 0',
        "",
        CRITICAL,
        "{{ $labels.namespace }}/{{ $labels.pod }} has lost lines for {{ $labels.sink }}: {{ $labels.reason }}",
        "These lines will never be delivered. The reasons: refused by the sink, given up beyond a bound, "
        "gone before they were read, too long.",
    ),
    Alert(
        "LogshipperFilesUnreadable",
        'logshipper_files{state="unreadable"} > 0',
        "5m",
        CRITICAL,
        "{{ $value | humanize }} log files of {{ $labels.namespace }}/{{ $labels.pod }} cannot be read",
        "The app writes them for itself, or a directory is closed to the logshipper. Set fsGroup or the app's umask.",
    ),
    Alert(
        "LogshipperStateNotSaved",
        "logshipper_state_saved == 0",
        "2m",
        CRITICAL,
        "{{ $labels.namespace }}/{{ $labels.pod }} cannot save the positions of its log files",
        "After a restart lines are delivered twice. The volume of the state is full, read-only or gone.",
    ),
    Alert(
        "LogshipperBacklogGrowing",
        f"logshipper_pending_bytes > {BACKLOG:g}"
        f" and predict_linear(logshipper_pending_bytes[15m], 3600) > 0.8 * {VOLUME:g}",
        "15m",
        WARNING,
        "{{ $value | humanize1024 }}B wait for {{ $labels.sink }} in {{ $labels.namespace }}/{{ $labels.pod }},"
        " and more each minute",
        f"In an hour the backlog fills the volume, if it has {VOLUME / 1e9:g} GB. The sink is too slow, or down.",
    ),
    Alert(
        "LogshipperRetrying",
        'sum by (namespace, pod, sink) (rate(logshipper_batches_total{outcome="retried"}[10m]))'
        " / sum by (namespace, pod, sink)"
        ' (rate(logshipper_batches_total{outcome=~"delivered|retried"}[10m])) > 0.5',
        "15m",
        WARNING,
        "{{ $value | humanizePercentage }} of the batches of {{ $labels.namespace }}/{{ $labels.pod }} for"
        " {{ $labels.sink }} are sent again",
        "The sink answers with errors or too slowly. Its answers are in the log.",
    ),
    Alert(
        "LogshipperRefusedByItsSink",
        "logshipper_sink_refuses_all == 1",
        "5m",
        CRITICAL,
        "{{ $labels.sink }} refuses every line of {{ $labels.namespace }}/{{ $labels.pod }}",
        "Usually a wrong tenant, index or token. The lines are kept, and the Pod is not ready.",
    ),
    Alert(
        "LogshipperHoldsDeletedFiles",
        f"logshipper_held_deleted_bytes > {VOLUME:g}",
        "15m",
        WARNING,
        "{{ $value | humanize1024 }}B of deleted files are held by {{ $labels.namespace }}/{{ $labels.pod }}",
        "The node's disk is occupied by files without a name, which `du` does not show, until the sink has them.",
    ),
)

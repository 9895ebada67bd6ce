"""The warcopier's dashboard, for WARCOPIER_WATCH=true: a copier that runs once has no metrics."""

from __future__ import annotations

from tools.monitoring.dashboards.common import process_row, ready
from tools.monitoring.dashboards.panels import AMBER, GREEN, RED, SELECTED, Dashboard, Panel, Query, Row, stat, table


def _increase(metric: str, legend: str, by: str = "") -> Query:
    grouped = f" by ({by}) " if by else ""
    return Query(f"sum{grouped}(increase({metric}{{{SELECTED}}}[$__rate_interval]))", legend)


WELL = Row(
    "Is it well?",
    [
        ready("warcopier"),
        stat(
            "Last run",
            "Failed if the newest source could not be published in one of the Pods: it serves an older release.",
            "none",
            f"max(warcopier_last_run_failed{{{SELECTED}}})",
            (None, GREEN),
            (1, RED),
            names=(("0", "good", GREEN), ("1", "failed", RED)),
        ),
        stat(
            "Last success",
            "When a run of any Pod last ended well. A copier runs when its source changes, so this may be long ago.",
            "dateTimeFromNow",
            f"max(warcopier_last_success_timestamp_seconds{{{SELECTED}}}) * 1000",
        ),
        stat(
            "Releases in service",
            "Different digests of one file over all Pods, the greatest number. More than 1: a roll-out is under way,"
            " or a Pod was left behind.",
            "none",
            f"max(count by (file) (count by (file, sha256) (warcopier_artifact_info{{{SELECTED}}})))",
            (None, GREEN),
            (2, AMBER),
        ),
        stat(
            "Duration of the last run",
            "Of the slowest Pod.",
            "s",
            f"max(warcopier_last_run_seconds{{{SELECTED}}})",
        ),
        stat(
            "Change events",
            "Polling if a Pod has no inotify: a change is seen later, and costs more.",
            "none",
            f"max(warcopier_source_polled{{{SELECTED}}})",
            (None, GREEN),
            (1, AMBER),
            names=(("0", "inotify", GREEN), ("1", "polling", AMBER)),
        ),
    ],
)
RUNS = Row(
    "Runs",
    [
        Panel(
            "Runs",
            "Runs by their result.",
            "short",
            [_increase("warcopier_runs_total", "{{result}}", "result")],
        ),
        Panel(
            "Artifacts",
            "Artifacts that were published and removed.",
            "short",
            [
                _increase("warcopier_published_total", "published"),
                _increase("warcopier_pruned_total", "removed"),
            ],
        ),
        Panel(
            "Copied",
            "Bytes of archives that were published.",
            "bytes",
            [_increase("warcopier_copied_bytes_total", "copied")],
        ),
        Panel(
            "Duration of runs",
            "Seconds of the last run, of each Pod.",
            "s",
            [Query(f"warcopier_last_run_seconds{{{SELECTED}}}", "{{pod}}")],
        ),
        table(
            "Artifacts in the target",
            "Each file with its digest, and the number of Pods that serve it.",
            "short",
            Query(f"count by (file, sha256) (warcopier_artifact_info{{{SELECTED}}})", "pods"),
            width=16,
        ),
    ],
)
WARCOPIER = Dashboard(
    "sidecars-warcopier",
    "Sidecars / warcopier",
    "Which release each Pod serves, and whether the newest one could be published.",
    "warcopier",
    [WELL, RUNS, process_row("warcopier")],
)

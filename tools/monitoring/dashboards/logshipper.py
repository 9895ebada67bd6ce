"""The logshipper's dashboard."""

from __future__ import annotations

from tools.monitoring.alerts.logshipper import BACKLOG, LATE, VOLUME
from tools.monitoring.dashboards.common import level, process_row, quantiles, rate, ready
from tools.monitoring.dashboards.panels import AMBER, GREEN, RED, SELECTED, Dashboard, Panel, Query, Row, stat, yes_no

WELL = Row(
    "Is it well?",
    [
        ready("logshipper"),
        stat(
            "Oldest line",
            "How long the oldest line has been waiting for its sink, of all Pods.",
            "s",
            f"max(logshipper_oldest_unacked_seconds{{{SELECTED}}})",
            (None, GREEN),
            (LATE / 5, AMBER),
            (LATE, RED),
        ),
        stat(
            "Backlog",
            "Bytes that wait in the files of all selected Pods.",
            "bytes",
            f"sum(logshipper_pending_bytes{{{SELECTED}}})",
            (None, GREEN),
            (BACKLOG, AMBER),
            (0.8 * VOLUME, RED),
        ),
        stat(
            "Lost in the last hour",
            "Lines that will never be delivered: refused, given up, gone before they were read, or cut.",
            "short",
            "sum(increase(logshipper_dropped_lines_total"
            f'{{reason=~"rejected|expired|lost|given_up|cut", {SELECTED}}}[1h]))',
            (None, GREEN),
            (1, RED),
        ),
        stat(
            "Unreadable files",
            "Log files and directories that may not be read. Set fsGroup, or the app's umask.",
            "none",
            f'sum(logshipper_files{{state="unreadable", {SELECTED}}})',
            (None, GREEN),
            (1, RED),
        ),
        yes_no(
            "Positions",
            "Yes if each Pod can save how far it has read. If not, a restart delivers lines twice.",
            f"min(logshipper_state_saved{{{SELECTED}}})",
            "saved",
            "not saved",
        ),
    ],
)
DELIVERY = Row(
    "Delivery",
    [
        Panel(
            "Bytes",
            "Bytes of log files that were seen, and that each sink has accepted.",
            "Bps",
            [
                rate("logshipper_read_bytes_total", "sink", legend="{{sink}} read"),
                rate("logshipper_delivered_bytes_total", "sink", legend="{{sink}} delivered"),
            ],
            width=6,
        ),
        Panel(
            "Lines",
            "Lines that each sink has accepted, a second.",
            "short",
            [rate("logshipper_delivered_lines_total", "sink")],
            width=6,
        ),
        Panel(
            "Time to delivery",
            "From the first sight of a batch's oldest line until the sink has decided on the batch.",
            "s",
            quantiles("logshipper_delivery_seconds"),
            width=6,
        ),
        Panel(
            "Batches",
            "Batches by what became of them: delivered, sent again, refused in part, or split. overflow: events"
            " without a target of their own.",
            "short",
            [
                rate("logshipper_batches_total", "outcome"),
                rate("logshipper_target_overflows_total", "sink", legend="{{sink}} overflow"),
            ],
            width=6,
        ),
    ],
)
BACKLOGS = Row(
    "Backlog and losses",
    [
        Panel(
            "Backlog by sink",
            "Bytes that wait in the app's files. They are the buffer: nothing else holds them.",
            "bytes",
            [level("logshipper_pending_bytes", "sink")],
            width=8,
        ),
        Panel(
            "Age of lines",
            "How long the oldest line has been waiting, and how long ago the sink last took one.",
            "s",
            [
                Query(f"max by (sink) (logshipper_oldest_unacked_seconds{{{SELECTED}}})", "{{sink}} oldest line"),
                Query(
                    f"time() - min by (sink) (logshipper_last_success_timestamp_seconds{{{SELECTED}}} > 0)",
                    "{{sink}} last success",
                ),
                Query(f"max by (sink) (logshipper_sink_refuses_all{{{SELECTED}}})", "{{sink}} refuses all (1)"),
            ],
            width=8,
            steps=((None, GREEN), (LATE, RED)),
        ),
        Panel(
            "Bytes that are not delivered",
            "Bytes a second that will never be delivered, by reason.",
            "Bps",
            [rate("logshipper_dropped_bytes_total", "reason")],
            width=8,
        ),
        Panel(
            "Deleted files that are held",
            "Disk of files that the app has deleted and that are not read to their end. `du` does not show it.",
            "bytes",
            [level("logshipper_held_deleted_bytes", "pod")],
            width=12,
        ),
        Panel(
            "Files",
            "Log files by state. closed: to save a descriptor. not_followed: there is no room for them.",
            "short",
            [level("logshipper_files", "state"), level("logshipper_missing_rotated_files", "pod", "{{pod}} missing")],
            width=12,
        ),
        Panel(
            "Events without a part",
            "Events in which FORMAT, TIME_KEY, LEVEL_KEY or MESSAGE_KEY found nothing. They are shipped without it.",
            "short",
            [rate("logshipper_unparsed_events_total", "input, part")],
            width=12,
        ),
    ],
)
LOGSHIPPER = Dashboard(
    "sidecars-logshipper",
    "Sidecars / logshipper",
    "Lines on the way from the app's files to the sinks: delay, backlog, losses.",
    "logshipper",
    [WELL, DELIVERY, BACKLOGS, process_row("logshipper")],
)

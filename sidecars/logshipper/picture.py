"""The picture of the logshipper's page: sinks and files with what is pending, why it does not move, and the ledger."""

from __future__ import annotations

from sidecars.chassis.page.picture import Column, Picture, Table, Words

PICTURE = Picture(
    Table(
        "Sinks",
        rows="sinks.*",
        columns=(
            Column("Sink", "key:0"),
            Column("State", "state", "state"),
            Column("Why bytes do not move", "why"),
            Column("Pending", "pending_bytes", "bar", of="read_bytes", unit="bytes"),
            Column("Oldest", "oldest_seconds", "seconds"),
            Column("Delivered", "delivered_bytes", "rate-spark", unit="bytes"),
            Column("Dropped", "dropped_total_bytes", "bytes"),
            Column("Reasons", "dropped_bytes", "list"),
            Column("Since last success", "last_success_seconds", "seconds"),
            Column("Last failure", "last_failure.reason"),
        ),
    ),
    Words("Ledger", "sums"),
    Table(
        "Files",
        rows="sinks.*.files.*",
        columns=(
            Column("File", "path"),
            Column("Sink", "key:0"),
            Column("File is", "state"),
            Column("Pending", "pending_bytes", "bar", unit="bytes"),
            Column("Waited", "waited_seconds", "seconds"),
            Column("Waits for", "waits_for"),
            Column("Read", "read_bytes", "bytes"),
            Column("Delivered", "delivered_bytes", "rate", unit="bytes"),
            Column("Dropped", "dropped_bytes", "list"),
            Column("Held", "held_bytes", "bytes"),
        ),
        key="generation",
        empty="No log file is there yet.",
    ),
    Words("Files that are not listed", "left_out"),
    Table(
        "Deleted and rotated files that are still open",
        rows="held",
        columns=(
            Column("Deleted files", "deleted_files", "count"),
            Column("Bytes of deleted files", "deleted_bytes", "bytes"),
            Column("Rotated files", "rotated_files", "count"),
            Column("Bytes of rotated files", "rotated_bytes", "bytes"),
        ),
    ),
    Table(
        "Names that are not read",
        rows="unreadable.*",
        columns=(Column("Name", "key:0"), Column("Reason", ".")),
        empty="",
    ),
    Words("Positions that are not saved", "state_problem"),
)

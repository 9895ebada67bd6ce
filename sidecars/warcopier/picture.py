"""The picture of the page of a warcopier that watches: artifacts, the copy under way, and when it looks again."""

from __future__ import annotations

from sidecars.chassis.page.picture import Column, Picture, Table, Words

PICTURE = Picture(
    Table(
        "Artifacts",
        rows="deployments.*",
        columns=(
            Column("Artifact", "key:0"),
            Column("State", "state", "state"),
            Column("For", "since_seconds", "seconds"),
            Column("Version", "version"),
            Column("Digest", "sha256", "digest"),
            Column("Why it is refused", "refused"),
            Column("Source", "source"),
            Column("Size", "bytes", "bytes"),
            Column("Since its change", "source_age_seconds", "seconds"),
        ),
        empty="Nothing is published yet.",
    ),
    Table(
        "At work",
        rows="copying",
        columns=(
            Column("Artifact", "artifact"),
            Column("Phase", "phase", "state"),
            Column("Done", "bytes", "bar", of="of_bytes", unit="bytes"),
            Column("Of", "of_bytes", "bytes"),
            Column("Per second", "bytes_per_second", "bytes"),
            Column("From", "source"),
        ),
        empty="Nothing is being copied.",
    ),
    Words("Waiting", "waiting"),
    Words("The last run failed", "last_failure"),
    Table(
        "Runs",
        rows="last_run",
        columns=(
            Column("Last run", "result"),
            Column("Since its end", "age_seconds", "seconds"),
            Column("Took", "duration_seconds", "seconds"),
            Column("Next look in", "next_look_seconds", "seconds"),
            Column("Polls", "polls"),
            Column("Artifacts that are not listed", "deployments_left_out", "count"),
        ),
        empty="No run has ended yet.",
    ),
)

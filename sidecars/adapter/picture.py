"""The picture of the adapter's page: the app's answers, verdicts, each rule with its last minutes, and the routes."""

from __future__ import annotations

from sidecars.chassis.page.picture import Column, Picture, Table

PICTURE = Picture(
    Table(
        "Requests to the app",
        rows="requests.*",
        columns=(
            Column("Request", "url"),
            Column("Verdict", "verdict.status", "state"),
            Column("For", "verdict.since_seconds", "seconds"),
            Column("Last 5 minutes", "verdict.statuses", "spark"),
            Column("Until it changes", "verdict.hysteresis"),
            Column("Last answer", "answer.words"),
            Column("Age", "answer.age_seconds", "seconds"),
            Column("Took", "answer.duration_seconds", "seconds"),
            Column("Durations of 5 minutes", "answer.durations", "spark", unit="seconds"),
            Column("Kept for", "answer.kept_for_seconds", "seconds"),
            Column("Routes", "routes", "list"),
        ),
    ),
    Table(
        "Rules and components",
        rows="requests.*.verdict.checks.*",
        columns=(
            Column("Name", "key:1"),
            Column("State", "status", "state"),
            Column("Value", "value", "count"),
            Column("Wanted", "wanted"),
            Column("Values of 5 minutes", "values", "spark"),
            Column("For", "since_seconds", "seconds"),
            Column("Reason", "reason"),
            Column("Kind", "kind"),
            Column("App", "app"),
        ),
        empty="Nothing was judged yet: no prober has asked, or no route has a verdict.",
    ),
    Table(
        "Routes",
        rows="routes.*",
        columns=(
            Column("Route", "key:0"),
            Column("Mode", "mode"),
            Column("Dialect", "dialect"),
            Column("Sent as", "dialects", "list"),
            Column("Last status", "last.status"),
            Column("Last error", "last_error.reason"),
            Column("Time of the error", "last_error.at"),
        ),
    ),
    Table(
        "Apps",
        rows="apps.*",
        columns=(
            Column("App", "key:0"),
            Column("Requests", "requests", "rate-spark"),
            Column("Probes with a kept answer", "kept", "count"),
            Column("Probes that shared one", "shared", "count"),
            Column("Errors", "errors", "list"),
        ),
    ),
    Table(
        "Files of rules",
        rows="rules.*",
        columns=(Column("App", "key:0"), Column("In force", ".")),
        empty="",
    ),
    Table(
        "Faults of metrics pages",
        rows="metrics_pages.*",
        columns=(
            Column("App", "key:0"),
            Column("Families left out", "families_left_out", "count"),
            Column("Last faults", "last_faults.reasons", "list"),
            Column("Time of the faults", "last_faults.at"),
        ),
        empty="",
    ),
)

"""The alerts, as data.

    rules ──▶ ambassador, logshipper, adapter, warcopier, common ──▶ groups ──▶ deploy/monitoring/alerts.yaml

Each alert is an `Alert`: an expression, a severity, a summary that names the culprit, and a description for people.
Its runbook is the section of its name in `docs/troubleshooting.md`. The tests have, for each, a case in which it fires
and one in which it is quiet.
"""

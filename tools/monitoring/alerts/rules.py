"""An alert and a recording rule, as data, and the SLO that they are about."""

from __future__ import annotations

from dataclasses import dataclass

from tools.names import LABEL_PREFIX

OBJECTIVE = 0.999
"""Share of the app's requests that the ambassador serves without a 5xx."""
BUDGET = round(1 - OBJECTIVE, 6)
DOCUMENTATION = f"https://{LABEL_PREFIX}docs"
"""Where the documentation lies. The host never resolves (RFC 6761): a platform puts its own address here."""

CRITICAL, WARNING, INFO = "critical", "warning", "info"
SEVERITIES = (CRITICAL, WARNING, INFO)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert.

    - `expression`: PromQL; it has a result while something is wrong.
    - `after`: how long it must have a result before the alert fires; "" for at once.
    - `severity`: critical (wakes somebody up), warning (a ticket), info.
    - `summary`: one sentence with the labels that name the culprit.
    - `description`: what this means to a user, and what to look at first.
    """

    name: str
    expression: str
    after: str
    severity: str
    summary: str
    description: str

    @property
    def runbook(self) -> str:
        """The address of the section about this alert in the page of troubleshooting."""
        return f"{DOCUMENTATION}/troubleshooting.md#{self.name.lower()}"

    def rule(self) -> dict[str, object]:
        """Return the alert as Prometheus reads it."""
        rule: dict[str, object] = {"alert": self.name, "expr": self.expression}
        if self.after:
            rule["for"] = self.after
        return rule | {
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": self.runbook,
            },
        }


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that is computed once and used by several alerts and panels."""

    name: str
    expression: str

    def rule(self) -> dict[str, object]:
        return {"record": self.name, "expr": self.expression}

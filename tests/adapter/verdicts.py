"""Verdicts for tests of the dialects: one of each status, and their bodies."""

from __future__ import annotations

import json
from typing import Any

from sidecars.adapter.setting_types import DialectName
from sidecars.adapter.verdict.dialects import render_verdict
from sidecars.adapter.verdict.verdict import Check, Status, Verdict, verdict_of

DB = Check("db", "pass", "", 1.0, 1.0, comparison="==")
MEMORY = Check("memory", "warn", "used_bytes is 0.95, wanted < 0.9", 0.95, 0.9, comparison="<", severity="warn")
QUEUE = Check("queue", "fail", "no series queue_length")
VERDICTS: dict[Status, Verdict] = {
    "pass": verdict_of([DB]),
    "warn": verdict_of([DB, MEMORY]),
    "fail": verdict_of([DB, MEMORY, QUEUE]),
}


def document(form: DialectName, verdict: Verdict) -> Any:
    return json.loads(render_verdict(verdict, form).body)


def body(form: DialectName, status: Status, path: str = "/health", query: str = "") -> str:
    return render_verdict(VERDICTS[status], form, path, query).body.decode()

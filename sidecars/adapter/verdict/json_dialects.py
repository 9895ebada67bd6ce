"""Bodies of the dialects of JSON: health+json, Spring Boot Actuator and MicroProfile Health. No I/O."""

from __future__ import annotations

import json
import math
from typing import Any

from sidecars.adapter.verdict.verdict import Check, Status
from sidecars.adapter.verdict.verdict_page import MAX_NAME, VerdictPage, shown_name
from sidecars.chassis.runtime.printable import truncate

_EXACT = 2.0**53  # every whole number below has a float of its own


def health_json(page: VerdictPage) -> str:
    """Return health+json. A check of one of several apps is `app:check`: the draft's componentName:measurementName."""
    checks: dict[str, list[dict[str, Any]]] = {}
    for check in page.checks:
        key = f"{check.app}:{check.name}" if check.app else check.name
        entry: dict[str, Any] = {"status": check.status}
        if check.value is not None:
            entry["observedValue"] = _number(check.value)
        if check.wanted:
            entry["wanted"] = check.wanted
        if check.status != "pass":
            entry["output"] = check.short_reason
        checks.setdefault(truncate(key, MAX_NAME), []).append(entry)
    document: dict[str, Any] = {"status": page.status}
    if page.summary:
        document["output"] = page.summary
    if page.gap:
        document["notes"] = [page.gap]
    return _dumped({**document, "checks": checks})


def spring(page: VerdictPage) -> str:
    """Return Spring Boot's components by name. Those of one of several apps are inside the component of that app."""
    components: dict[str, Any] = {}
    for check in page.checks:
        place = components
        if check.app:
            place = components.setdefault(check.app, {"status": "UP", "components": {}})["components"]
        entry: dict[str, Any] = {"status": _up_or_down(check.status)}
        details = _details(check)
        place[truncate(check.name, MAX_NAME)] = {**entry, "details": details} if details else entry
    for app in {check.app for check in page.checks if check.app}:
        inner = components[app]["components"].values()
        components[app]["status"] = "DOWN" if any(part["status"] == "DOWN" for part in inner) else "UP"
    notes = {name: text for name, text in (("holding", page.verdict.holding), ("leftOut", page.gap)) if text}
    document: dict[str, Any] = {"status": _up_or_down(page.status), "components": components}
    return _dumped({**document, "details": notes} if notes else document)


def microprofile(page: VerdictPage) -> str:
    """Return MicroProfile's list of checks. `holding` and `left out` are checks of their own."""
    checks: list[dict[str, Any]] = []
    for check in page.checks:
        entry: dict[str, Any] = {"name": shown_name(check), "status": _up_or_down(check.status)}
        data = _details(check)
        checks.append({**entry, "data": data} if data else entry)
    for name, text in (("holding", page.verdict.holding), ("left out", page.gap)):
        if text:
            checks.append({"name": name, "status": _up_or_down(page.status), "data": {"reason": text}})
    return _dumped({"status": _up_or_down(page.status), "checks": checks})


def _up_or_down(status: Status) -> str:
    return "DOWN" if status == "fail" else "UP"


def _details(check: Check) -> dict[str, Any]:
    """Return the value, the comparison and the reason of a check as text or numbers: MicroProfile allows no others."""
    found: dict[str, Any] = {}
    if check.value is not None:
        found["value"] = _number(check.value)
    if check.wanted:
        found["wanted"] = check.wanted
    if check.status != "pass":
        found |= {"severity": check.status, "reason": check.short_reason}
    return found


def _number(value: float) -> float | str:
    """Return a number that JSON has: NaN and infinity as text, and a whole number without a point."""
    if not math.isfinite(value):
        return str(value)
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def _dumped(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"

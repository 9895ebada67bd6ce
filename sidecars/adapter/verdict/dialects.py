"""A verdict in the words of a monitoring system. No I/O.

    dialect         pass, warn, fail   after
    text            200, 200, 503      a line for the whole, and one for each check
    kubernetes      200, 200, 500      k8s.io/apiserver, pkg/server/healthz: `ok`, or `?verbose`; `?exclude=name`
    health+json     200, 200, 503      draft-inadarei-api-health-check-06
    spring          200, 200, 503      Spring Boot Actuator's health endpoint, v3
    microprofile    200, 200, 503      MicroProfile Health 4.0, section 3
    consul          200, 429, 503      Consul's HTTP check: 429 is a warning; the body is steady text
    nagios          200, 429, 503      Monitoring Plugins' guidelines: `WARNING - why|performance data`; a 4xx is a
                                       warning for their `check_http`
    haproxy-agent   200, 200, 503      HAProxy's agent-check, `up` or `down #why`; over TCP in `agent.py`

What is sent stays below 4 KB, since the kubelet, Consul and others stop reading there or soon after. Where not all
checks fit, those that pass are left out first, and the answer says how many it lacks.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

from sidecars.adapter.verdict.dialect_negotiation import Format
from sidecars.adapter.verdict.probe_response import MOST_BYTES, OWN_HEADERS, SERVICE_UNAVAILABLE, ProbeResponse
from sidecars.adapter.verdict.verdict import Check, Status, Verdict, verdict_of, worst_first
from sidecars.chassis.runtime.printable import printable, truncate

_LONGEST_LINE = 400  # characters of a summary
_LONGEST_AGENT_REASON = 120  # characters: HAProxy shows it in a column
_LONGEST_NAME = 120  # characters of a check's name, which an app may have chosen
_LONGEST_QUERY = 1000
_TOO_MANY_REQUESTS = 429  # a warning for Consul and check_http
_MOST_NAMED = 10  # checks in the first line for Consul
_MOST_CHECKS = 400  # more than can fit
_EXACT = 2.0**53  # up to here every whole number has a float of its own
_TEXT = OWN_HEADERS["Content-Type"]


@dataclass(frozen=True, slots=True)
class Page:
    """What is to be told: the verdict, those of its checks that fit, and how many do not."""

    verdict: Verdict
    checks: Sequence[Check]
    left_out: int
    title: str
    verbose: bool

    @property
    def status(self) -> Status:
        return self.verdict.status

    @property
    def gap(self) -> str:
        """Says what is missing; "" where nothing is."""
        return (
            f"{self.left_out} of {self.left_out + len(self.checks)} checks are left out here" if self.left_out else ""
        )

    @property
    def summary(self) -> str:
        """The reason in one line; "" when all is well."""
        return truncate(" ".join(self.verdict.reason.split()), _LONGEST_LINE)


def render(verdict: Verdict, form: Format, path: str = "/health", query: str = "") -> ProbeResponse:
    """The verdict in that dialect, as an HTTP answer. `path` and `query` are of the request."""
    dialect = DIALECTS[form]
    asked = parse_qs(query[:_LONGEST_QUERY], keep_blank_values=True) if query and form == "kubernetes" else {}
    excluded = frozenset(asked.get("exclude", ()))
    if excluded:
        verdict = _without(verdict, excluded)
    title, verbose = path.rstrip("/").rpartition("/")[2] or "health", "verbose" in asked

    def body(checks: Sequence[Check]) -> bytes:
        page = Page(verdict, checks, len(verdict.checks) - len(checks), title, verbose)
        return printable(dialect.body(page), keep="\n").encode()

    status = dialect.codes[verdict.status]
    why = verdict.own_reason if verdict.status == "fail" else ""
    headers = {"Content-Type": dialect.content_type, "Cache-Control": "no-store"}
    return ProbeResponse(status, headers, _fitting(verdict.checks, body), why, verdict.status == "warn")


def agent_line(verdict: Verdict) -> bytes:
    """What HAProxy's agent-check reads: one line of ASCII."""
    return _haproxy_agent(Page(verdict, (), 0, "", verbose=False)).encode()


def _without(verdict: Verdict, excluded: frozenset[str]) -> Verdict:
    """The verdict as if the excluded checks passed; Kubernetes shows them so, too. Not all can be excluded."""
    checks = [
        replace(check, status="pass", reason="excluded") if check.label in excluded else check
        for check in verdict.checks
    ]
    left = [check for check in checks if check.label not in excluded]
    if not left:
        return verdict
    status = verdict.status if verdict.holding else verdict_of(left).status
    return replace(verdict, status=status, checks=tuple(checks))


def _fitting(checks: Sequence[Check], body: Callable[[Sequence[Check]], bytes]) -> bytes:
    """The body with as many checks as there is room for."""
    if len(checks) <= _MOST_CHECKS and len(whole := body(checks)) <= MOST_BYTES:
        return whole
    ordered = worst_first(checks)[:_MOST_CHECKS]
    fits, too_many = 0, len(ordered) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if len(body(ordered[:middle])) <= MOST_BYTES else (fits, middle)
    return body(ordered[:fits])


def _name(check: Check) -> str:
    return truncate(" ".join(check.label.split()), _LONGEST_NAME)


# -- lines of text ------------------------------------------------------------------------------------------------


def _text(page: Page) -> str:
    lines = [f"{page.status}: {page.summary}" if page.summary else page.status]
    for check in page.checks:
        measured = _measured(check)
        tail = f" ({measured})" if measured else ""
        reason = f": {check.short_reason}" if check.status != "pass" and check.reason else ""
        lines.append(f"{_name(check)} {check.status}{tail}{reason}")
    return "\n".join([*lines, page.gap] if page.gap else lines) + "\n"


def _measured(check: Check) -> str:
    """`0.93, wanted < 0.9`."""
    value = "" if check.value is None else f"{check.value:g}"
    wanted = f"wanted {check.wanted}" if check.wanted else ""
    return ", ".join(filter(None, (value, wanted)))


# A number that stands alone, but for an HTTP status: with its unit, or as a duration such as 1m30s.
_UNIT = r"(?:ns|us|µs|ms|[smhd%]|[KMGT]?i?B)"
_MEASURED = re.compile(rf"(?:^|(?<=[\s(]))(?<!status )[-+]?(?:[0-9][0-9.]*+(?:[eE][-+]?[0-9]++)?+{_UNIT}?+)++(?![\w.])")


def _consul(page: Page) -> str:
    """As text, but the same for as long as the state is the same: Consul writes each change of it to its catalogue.

    So a rule tells what it wants and not its value, and the numbers in any other reason are left out.
    """
    head = [truncate(_MEASURED.sub("…", page.verdict.holding), _LONGEST_LINE)] if page.verdict.holding else []
    head += [_name(check) for check in worst_first(page.checks) if check.status != "pass"][:_MOST_NAMED]
    lines = [f"{page.status}: {', '.join(head)}" if head else page.status]
    for check in page.checks:
        wanted = f" (wanted {check.wanted})" if check.wanted else ""
        steady = "" if check.value is not None else _MEASURED.sub("…", check.short_reason)
        reason = f": {steady}" if check.status != "pass" and steady else ""
        lines.append(f"{_name(check)} {check.status}{wanted}{reason}")
    return "\n".join([*lines, page.gap] if page.gap else lines) + "\n"


def _kubernetes(page: Page) -> str:
    if page.status != "fail" and not page.verbose:
        return "ok\n" if page.status == "pass" else f"ok\nwarning: {page.summary}\n"
    lines = []
    for check in page.checks:
        if check.status == "fail":
            lines.append(f"[-]{_name(check)} failed: {check.short_reason}")
        elif check.reason == "excluded":
            lines.append(f"[+]{_name(check)} excluded: ok")
        else:
            warning = f" (warning: {check.short_reason})" if check.status == "warn" else ""
            lines.append(f"[+]{_name(check)} ok{warning}")
    lines += [f"warning: {line}" for line in (page.verdict.holding, page.gap) if line]
    lines.append(f"{page.title} check {'failed' if page.status == 'fail' else 'passed'}")
    return "\n".join(lines) + "\n"


_NAGIOS: Mapping[Status, str] = {"pass": "OK", "warn": "WARNING", "fail": "CRITICAL"}


def _nagios(page: Page) -> str:
    """One line: a plugin's output and, behind `|`, what can be drawn."""
    count = len(page.checks) + page.left_out
    said = page.summary or f"{count} {'check passes' if count == 1 else 'checks pass'}"
    data = " ".join(filter(None, map(_performance, page.checks)))
    return f"{_NAGIOS[page.status]} - {said.replace('|', '/')}{f'|{data}' if data else ''}\n"


def _performance(check: Check) -> str:
    """`'label'=value;;range`: what is healthy lies in the range; the first place is that of warnings."""
    if check.value is None or not math.isfinite(check.value):
        return ""
    label = _name(check).replace("'", "''").replace("=", "-").replace("|", "/")
    healthy = _RANGES.get(check.comparison, "")
    if not healthy or check.threshold is None or not math.isfinite(check.threshold):
        return f"'{label}'={_plain(check.value)}"
    place = ";" if check.severity == "warn" else ";;"
    return f"'{label}'={_plain(check.value)}{place}{healthy.format(_plain(check.threshold))}"


# The guidelines' ranges, where the alert is raised outside. They have no `<` apart from `<=`.
_RANGES = {"<": "~:{0}", "<=": "~:{0}", ">": "{0}:", ">=": "{0}:", "==": "{0}:{0}", "!=": "@{0}:{0}"}


def _plain(value: float) -> str:
    """Digits and a point only, 12 of them that count: the guidelines know no exponent."""
    digits = format(Decimal(f"{value:.12g}"), "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _haproxy_agent(page: Page) -> str:
    """`up` takes the server back, `down` takes it out; the weight and the maintenance mode stay the operator's."""
    if page.status != "fail":
        return "up\n"
    reason = page.summary.encode("ascii", "replace").decode()
    return f"down #{_ascii(reason)}\n"


def _ascii(text: str) -> str:
    clean = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return clean[:_LONGEST_AGENT_REASON]


# -- JSON ---------------------------------------------------------------------------------------------------------


def _number(value: float) -> float | str:
    """JSON has no NaN and no infinity; and 1 is more readable than 1.0."""
    if not math.isfinite(value):
        return str(value)
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def _details(check: Check) -> dict[str, Any]:
    """What a check has measured, as members that are text, numbers or booleans (MicroProfile allows no others)."""
    found: dict[str, Any] = {}
    if check.value is not None:
        found["value"] = _number(check.value)
    if check.wanted:
        found["wanted"] = check.wanted
    if check.status != "pass":
        found |= {"severity": check.status, "reason": check.short_reason}
    return found


def _dumped(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def _health_json(page: Page) -> str:
    """A check of one of several apps is `app:check`, which the draft calls componentName:measurementName."""
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
        checks.setdefault(truncate(key, _LONGEST_NAME), []).append(entry)
    document: dict[str, Any] = {"status": page.status}
    if page.summary:
        document["output"] = page.summary
    if page.gap:
        document["notes"] = [page.gap]
    return _dumped({**document, "checks": checks})


def _up(status: Status) -> str:
    return "DOWN" if status == "fail" else "UP"


def _spring(page: Page) -> str:
    """Components by name; those of one of several apps are inside that app's."""
    components: dict[str, Any] = {}
    for check in page.checks:
        place = components
        if check.app:
            place = components.setdefault(check.app, {"status": "UP", "components": {}})["components"]
        entry: dict[str, Any] = {"status": _up(check.status)}
        details = _details(check)
        place[truncate(check.name, _LONGEST_NAME)] = {**entry, "details": details} if details else entry
    for app in {check.app for check in page.checks if check.app}:
        inner = components[app]["components"].values()
        components[app]["status"] = "DOWN" if any(part["status"] == "DOWN" for part in inner) else "UP"
    notes = {name: text for name, text in (("holding", page.verdict.holding), ("leftOut", page.gap)) if text}
    document: dict[str, Any] = {"status": _up(page.status), "components": components}
    return _dumped({**document, "details": notes} if notes else document)


def _microprofile(page: Page) -> str:
    checks: list[dict[str, Any]] = []
    for check in page.checks:
        entry: dict[str, Any] = {"name": _name(check), "status": _up(check.status)}
        data = _details(check)
        checks.append({**entry, "data": data} if data else entry)
    for name, text in (("holding", page.verdict.holding), ("left out", page.gap)):
        if text:
            checks.append({"name": name, "status": _up(page.status), "data": {"reason": text}})
    return _dumped({"status": _up(page.status), "checks": checks})


# -- the table ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of monitoring is answered."""

    body: Callable[[Page], str]
    content_type: str
    codes: Mapping[Status, int]


def _codes(warn: int = 200, fail: int = SERVICE_UNAVAILABLE) -> Mapping[Status, int]:
    return {"pass": 200, "warn": warn, "fail": fail}


DIALECTS: Mapping[Format, Dialect] = {
    "text": Dialect(_text, _TEXT, _codes()),
    "kubernetes": Dialect(_kubernetes, _TEXT, _codes(fail=500)),
    "health+json": Dialect(_health_json, "application/health+json", _codes()),
    "spring": Dialect(_spring, "application/vnd.spring-boot.actuator.v3+json", _codes()),
    "microprofile": Dialect(_microprofile, "application/json", _codes()),
    "consul": Dialect(_consul, _TEXT, _codes(warn=_TOO_MANY_REQUESTS)),
    "nagios": Dialect(_nagios, _TEXT, _codes(warn=_TOO_MANY_REQUESTS)),
    "haproxy-agent": Dialect(_haproxy_agent, _TEXT, _codes()),
}

"""The dialects of monitoring systems, and a verdict in any of them. No I/O.

    dialect         pass, warn, fail   source and form
    text            200, 200, 503      a line for the whole, and one for each check
    kubernetes      200, 200, 500      k8s.io/apiserver, pkg/server/healthz: `ok`, or `?verbose`; `?exclude=name`
    health+json     200, 200, 503      draft-inadarei-api-health-check-06
    spring          200, 200, 503      Spring Boot Actuator's health endpoint, v3
    microprofile    200, 200, 503      MicroProfile Health 4.0, section 3
    consul          200, 429, 503      Consul's HTTP check: 429 is a warning; the body does not change with values
    nagios          200, 429, 503      Monitoring Plugins' guidelines: `WARNING - reason|performance data`; a 4xx is a
                                       warning for their `check_http`
    haproxy-agent   200, 200, 503      HAProxy's agent-check, `up` or `down #reason`; over TCP in `haproxy_agent`

A body stays below 4 KB, since the kubelet, Consul and others read hardly more. If not all checks fit, those that pass
are left out first, and the body has the number of those that are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qs

from sidecars.adapter.setting_types import DialectName
from sidecars.adapter.verdict import json_dialects, text_dialects
from sidecars.adapter.verdict.probe_response import TEXT_HEADERS, ProbeResponse
from sidecars.adapter.verdict.verdict import Check, Status, Verdict, verdict_of
from sidecars.adapter.verdict.verdict_page import VerdictPage, fit_checks
from sidecars.chassis.runtime.printable import printable

_MAX_QUERY = 1000  # characters that are read
_TEXT = TEXT_HEADERS["Content-Type"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """The form of a verdict for one kind of monitoring system."""

    body: Callable[[VerdictPage], str]
    content_type: str
    http_statuses: Mapping[Status, int]


def _statuses(warn: int = 200, fail: int = 503) -> Mapping[Status, int]:
    return {"pass": 200, "warn": warn, "fail": fail}


DIALECTS: Mapping[DialectName, Dialect] = {
    "text": Dialect(text_dialects.plain_text, _TEXT, _statuses()),
    "kubernetes": Dialect(text_dialects.kubernetes, _TEXT, _statuses(fail=500)),
    "health+json": Dialect(json_dialects.health_json, "application/health+json", _statuses()),
    "spring": Dialect(json_dialects.spring, "application/vnd.spring-boot.actuator.v3+json", _statuses()),
    "microprofile": Dialect(json_dialects.microprofile, "application/json", _statuses()),
    "consul": Dialect(text_dialects.consul, _TEXT, _statuses(warn=429)),
    "nagios": Dialect(text_dialects.nagios, _TEXT, _statuses(warn=429)),
    "haproxy-agent": Dialect(text_dialects.haproxy_agent, _TEXT, _statuses()),
}


def render_verdict(verdict: Verdict, name: DialectName, path: str = "/health", query: str = "") -> ProbeResponse:
    """Return the verdict in the dialect of that name. `path` and `query` are those of the prober's request."""
    dialect = DIALECTS[name]
    asked = parse_qs(query[:_MAX_QUERY], keep_blank_values=True) if query and name == "kubernetes" else {}
    excluded = frozenset(asked.get("exclude", ()))
    if excluded:
        verdict = _without(verdict, excluded)
    title, verbose = path.rstrip("/").rpartition("/")[2] or "health", "verbose" in asked

    def body(checks: Sequence[Check]) -> bytes:
        page = VerdictPage(verdict, checks, len(verdict.checks) - len(checks), title, verbose)
        return printable(dialect.body(page), keep="\n").encode()

    http_status = dialect.http_statuses[verdict.status]
    reason = verdict.log_reason if verdict.status == "fail" else ""
    headers = {"Content-Type": dialect.content_type, "Cache-Control": "no-store"}
    return ProbeResponse(http_status, headers, fit_checks(verdict.checks, body), reason, verdict.status == "warn")


def agent_line(verdict: Verdict) -> bytes:
    """Return the line that HAProxy's agent-check reads, in ASCII."""
    return text_dialects.haproxy_agent(VerdictPage(verdict, (), 0, "", verbose=False)).encode()


def _without(verdict: Verdict, excluded: frozenset[str]) -> Verdict:
    """Return the verdict as if the excluded checks passed, as Kubernetes does. Not all checks can be excluded."""
    checks = [
        replace(check, status="pass", reason="excluded") if check.label in excluded else check
        for check in verdict.checks
    ]
    left = [check for check in checks if check.label not in excluded]
    if not left:
        return verdict
    status = verdict.status if verdict.holding else verdict_of(left).status
    return replace(verdict, status=status, checks=tuple(checks))

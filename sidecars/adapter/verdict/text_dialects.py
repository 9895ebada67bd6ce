"""Bodies of the dialects of text: plain text, Kubernetes, Consul, Nagios and HAProxy. No I/O."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal

from sidecars.adapter.verdict.verdict import NO_RESPONSE, Check, Status, worst_first
from sidecars.adapter.verdict.verdict_page import MAX_LINE, VerdictPage, shown_name
from sidecars.chassis.runtime.printable import truncate

_MAX_AGENT_REASON = 120  # characters: HAProxy shows it in a column
_MAX_NAMED = 10  # checks in the first line for Consul


def plain_text(page: VerdictPage) -> str:
    """Return a line for the whole, and one for each check. The cause of rules without data stands once."""
    lines = [f"{page.status}: {page.summary}" if page.summary else page.status]
    for check in page.checks:
        measured = _measured(check)
        tail = f" ({measured})" if measured else ""
        is_told = check.status == "pass" or not check.reason or _is_told_above(page, check)
        lines.append(f"{shown_name(check)} {check.status}{tail}{'' if is_told else f': {check.short_reason}'}")
    return "\n".join([*lines, page.gap] if page.gap else lines) + "\n"


def _is_told_above(page: VerdictPage, check: Check) -> bool:
    """Return True for the app that gave no response, and for its rules: the first line has their one cause."""
    if check.reason != NO_RESPONSE and check.name != "app":
        return False
    checks = [one for one in page.checks if one.app == check.app]
    return any(one.reason == NO_RESPONSE for one in checks) and any(
        one.name == "app" and f"{one.label}: {one.short_reason}" in page.summary for one in checks
    )


def _measured(check: Check) -> str:
    """Return `0.93, wanted < 0.9`."""
    value = "" if check.value is None else f"{check.value:g}"
    wanted = f"wanted {check.wanted}" if check.wanted else ""
    return ", ".join(filter(None, (value, wanted)))


# A number that stands alone, with its unit, or as a duration such as 1m30s. An HTTP status is not one of them.
_UNIT = r"(?:ns|us|µs|ms|[smhd%]|[KMGT]?i?B)"
_MEASURED = re.compile(rf"(?:^|(?<=[\s(]))(?<!status )[-+]?(?:[0-9][0-9.]*+(?:[eE][-+]?[0-9]++)?+{_UNIT}?+)++(?![\w.])")


def consul(page: VerdictPage) -> str:
    """Return the text without measured values, so that it changes only with the state.

    Consul writes each change of a check's output to its catalogue. So a rule shows the comparison and not its value,
    and numbers in any other reason are replaced.
    """
    head = [truncate(_MEASURED.sub("…", page.verdict.holding), MAX_LINE)] if page.verdict.holding else []
    head += [shown_name(check) for check in worst_first(page.checks) if check.status != "pass"][:_MAX_NAMED]
    lines = [f"{page.status}: {', '.join(head)}" if head else page.status]
    for check in page.checks:
        wanted = f" (wanted {check.wanted})" if check.wanted else ""
        steady = "" if check.value is not None else _MEASURED.sub("…", check.short_reason)
        reason = f": {steady}" if check.status != "pass" and steady else ""
        lines.append(f"{shown_name(check)} {check.status}{wanted}{reason}")
    return "\n".join([*lines, page.gap] if page.gap else lines) + "\n"


def kubernetes(page: VerdictPage) -> str:
    """Return `ok`, or a line for each check if the verdict fails or the query has `verbose`."""
    if page.status != "fail" and not page.verbose:
        return "ok\n" if page.status == "pass" else f"ok\nwarning: {page.summary}\n"
    lines = []
    for check in page.checks:
        if check.status == "fail":
            lines.append(f"[-]{shown_name(check)} failed: {check.short_reason}")
        elif check.reason == "excluded":
            lines.append(f"[+]{shown_name(check)} excluded: ok")
        else:
            warning = f" (warning: {check.short_reason})" if check.status == "warn" else ""
            lines.append(f"[+]{shown_name(check)} ok{warning}")
    lines += [f"warning: {line}" for line in (page.verdict.holding, page.gap) if line]
    lines.append(f"{page.title} check {'failed' if page.status == 'fail' else 'passed'}")
    return "\n".join(lines) + "\n"


# -- Nagios -------------------------------------------------------------------------------------------------------

_NAGIOS: Mapping[Status, str] = {"pass": "OK", "warn": "WARNING", "fail": "CRITICAL"}

# The guidelines' ranges; an alert is raised outside. The guidelines have no `<` apart from `<=`.
_RANGES = {"<": "~:{0}", "<=": "~:{0}", ">": "{0}:", ">=": "{0}:", "==": "{0}:{0}", "!=": "@{0}:{0}"}


def nagios(page: VerdictPage) -> str:
    """Return one line: the plugin's output and, behind `|`, performance data."""
    count = len(page.checks) + page.left_out
    output = page.summary or f"{count} {'check passes' if count == 1 else 'checks pass'}"
    data = " ".join(filter(None, map(_performance_data, page.checks)))
    return f"{_NAGIOS[page.status]} - {output.replace('|', '/')}{f'|{data}' if data else ''}\n"


def _performance_data(check: Check) -> str:
    """Return `'label'=value;warning range;critical range`, with the one range that the check has."""
    if check.value is None or not math.isfinite(check.value):
        return ""
    label = shown_name(check).replace("'", "''").replace("=", "-").replace("|", "/")
    healthy = _RANGES.get(check.comparison, "")
    if not healthy or check.threshold is None or not math.isfinite(check.threshold):
        return f"'{label}'={_decimal(check.value)}"
    place = ";" if check.severity == "warn" else ";;"
    return f"'{label}'={_decimal(check.value)}{place}{healthy.format(_decimal(check.threshold))}"


def _decimal(value: float) -> str:
    """Return the number with 12 significant digits and without an exponent: the guidelines know none."""
    digits = format(Decimal(f"{value:.12g}"), "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


# -- HAProxy ------------------------------------------------------------------------------------------------------


def haproxy_agent(page: VerdictPage) -> str:
    """Return `up` to put the server into rotation, or `down #reason` to take it out.

    The weight and the maintenance mode are left to the operator.
    """
    if page.status != "fail":
        return "up\n"
    reason = page.summary.encode("ascii", "replace").decode()
    return f"down #{_printable_ascii(reason)}\n"


def _printable_ascii(text: str) -> str:
    clean = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return clean[:_MAX_AGENT_REASON]

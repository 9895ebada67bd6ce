"""Health documents in text: Kubernetes' verbose lines, or a single word such as `ok`. No I/O.

The grammar is that of k8s.io/apiserver (pkg/server/healthz/healthz.go, `handleRootHealth`); controller-runtime has the
same:

    document = { check } { note } [ result ]
    check    = "[+]" name " ok" | "[+]" name " excluded: ok" | "[-]" name " failed: " reason
    note     = "warn: " text
    result   = name " check passed" | name " check failed"

This adapter adds `[+]name ok (warning: reason)` and `warning: reason`. Any other line is a failed check with its
reason. An indented line is a failed check, too: it belongs to the line before it, and may report a failure.
"""

from __future__ import annotations

import re

from sidecars.adapter.health.documents import (
    DEFAULT_OPTIONS,
    Component,
    DocumentOptions,
    HealthDocument,
    clean_text,
    with_unique_names,
)
from sidecars.adapter.health.status_words import HealthStatus, describe_value

_MARKED = re.compile(r"\s*\[.?\]")
_GOOD = re.compile(r"\[\+\](?P<name>\S+) (?:excluded: ok|ok(?: \(warning: (?P<reason>.*)\))?)")
_BAD = re.compile(r"\[-\](?P<name>\S.*?)(?: failed(?:: (?P<reason>.*))?)?")
_RESULT = re.compile(r"(?P<name>[^\s\[\]]+) check (?P<word>\w+)")
_NOTE = "warn: "
_WARNING = "warning: "
_NOT_UNDERSTOOD = "is not understood"
_LINE_NAME = "line {0}"  # the name of a check whose line has none


def read_text(text: str, http_status: int, options: DocumentOptions = DEFAULT_OPTIONS) -> HealthDocument | None:
    """Return the health document in this text; None if it is another text, such as a metrics page.

    Raises NotAHealthDocument if it has too many checks.

    If `http_status` contradicts the text, the worse of the two counts.
    """
    lines = [line.rstrip(" \r") for line in text.split("\n")]
    full = [line for line in lines if line]
    if len(full) == 1 and "[" not in full[0] and not _RESULT.fullmatch(full[0]):
        word = full[0].strip().rstrip(".!")
        status, number = options.status_words.meaning(word)
        return options.with_http_status(HealthDocument(status, number=number), http_status) if status else None
    if not any(_MARKED.match(line) or _RESULT.fullmatch(line) for line in full):
        return None
    checks = [component for number, line in enumerate(lines, 1) if line and (component := _check(line, number))]
    if not any(component.status == "fail" for component in checks):
        checks += [component for line in full if (component := _failed_result(line))]
    components = with_unique_names(checks, options.max_series)
    statuses = {component.status for component in components}
    whole: HealthStatus = "fail" if "fail" in statuses else "warn" if "warn" in statuses else "pass"
    if all(_is_not_understood(component) for component in components if component.status == "fail") and whole == "fail":
        return HealthDocument(whole, components, problem="a line of its response is not understood")
    return options.with_http_status(HealthDocument(whole, components), http_status)


def _is_not_understood(component: Component) -> bool:
    """True if the check stands for a line that is not understood."""
    return component.reason.endswith(_NOT_UNDERSTOOD)


def _check(line: str, number: int) -> Component | None:
    """Return the check in the line; None for a note or a result."""
    if line.isprintable():
        if good := _GOOD.fullmatch(line):
            reason = good["reason"]
            return Component(clean_text(good["name"]), "warn" if reason else "pass", clean_text(reason or ""))
        if bad := _BAD.fullmatch(line):
            return Component(clean_text(bad["name"]), "fail", clean_text(bad["reason"] or ""))
        if line.startswith(_WARNING):
            return Component(_LINE_NAME.format(number), "warn", clean_text(line.removeprefix(_WARNING)))
        if line == "ok" or line.startswith(_NOTE) or _RESULT.fullmatch(line):
            return None
    return Component(_LINE_NAME.format(number), "fail", f"the line {describe_value(line)} {_NOT_UNDERSTOOD}")


def _failed_result(line: str) -> Component | None:
    """Return the result in this line as a check; None if it passed, or if the line is no result."""
    result = _RESULT.fullmatch(line)
    failed = result and result["word"] != "passed"
    return Component(clean_text(result["name"]), "fail", clean_text(line)) if result and failed else None

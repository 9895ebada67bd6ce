"""Health in lines of text: Kubernetes' verbose answers, and a single word such as `ok`. No I/O.

The grammar of k8s.io/apiserver (pkg/server/healthz/healthz.go, `handleRootHealth`), which controller-runtime has, too:

    answer  = { check } { note } [ result ]
    check   = "[+]" name " ok" | "[+]" name " excluded: ok" | "[-]" name " failed: " reason
    note    = "warn: " text
    result  = name " check passed" | name " check failed"

and what this adapter adds to it: `[+]name ok (warning: why)` and `warning: why`. A line that is none of these is a
failed check with its reason. So is an indented line: it belongs to the line before it, and may say that it is bad.
"""

from __future__ import annotations

import re

from sidecars.adapter.health.documents import PLAIN, Component, DocumentOptions, Health, clean, named
from sidecars.adapter.health.status_words import Condition, shown

_MARKED = re.compile(r"\s*\[.?\]")
_GOOD = re.compile(r"\[\+\](?P<name>\S+) (?:excluded: ok|ok(?: \(warning: (?P<why>.*)\))?)")
_BAD = re.compile(r"\[-\](?P<name>\S.*?)(?: failed(?:: (?P<why>.*))?)?")
_RESULT = re.compile(r"(?P<name>[^\s\[\]]+) check (?P<word>\w+)")
_NOTE = "warn: "
_WARNING = "warning: "
_STRANGE = "is not understood"
_OWN_NAME = "line {0}"  # of a line that names no check


def read_text(text: str, status: int, options: DocumentOptions = PLAIN) -> Health | None:
    """Return the health document in this text; None where it is none (metrics, say). Raises NotHealth.

    `status` is the HTTP answer's: where it contradicts the text, the worse counts.
    """
    lines = [line.rstrip(" \r") for line in text.split("\n")]
    full = [line for line in lines if line]
    if len(full) == 1 and "[" not in full[0] and not _RESULT.fullmatch(full[0]):
        word = full[0].strip().rstrip(".!")
        condition, number = options.words.meaning(word)
        return options.with_status(Health(condition, number=number), status) if condition else None
    if not any(_MARKED.match(line) or _RESULT.fullmatch(line) for line in full):
        return None
    checks = [part for number, line in enumerate(lines, 1) if line and (part := _check(line, number))]
    if not any(part.condition == "fail" for part in checks):
        checks += [part for line in full if (part := _failed_result(line))]
    parts = named(checks, options.most)
    conditions = {part.condition for part in parts}
    whole: Condition = "fail" if "fail" in conditions else "warn" if "warn" in conditions else "pass"
    if all(_is_strange(part) for part in parts if part.condition == "fail") and whole == "fail":
        return Health(whole, parts, problem="a line of its answer is not understood")
    return options.with_status(Health(whole, parts), status)


def _is_strange(part: Component) -> bool:
    """True if the check stands for a line that is not understood."""
    return part.reason.endswith(_STRANGE)


def _check(line: str, number: int) -> Component | None:
    """Return the check that the line tells of; None for a note or a result."""
    if line.isprintable():
        if good := _GOOD.fullmatch(line):
            return Component(clean(good["name"]), "warn" if good["why"] else "pass", clean(good["why"] or ""))
        if bad := _BAD.fullmatch(line):
            return Component(clean(bad["name"]), "fail", clean(bad["why"] or ""))
        if line.startswith(_WARNING):
            return Component(_OWN_NAME.format(number), "warn", clean(line.removeprefix(_WARNING)))
        if line == "ok" or line.startswith(_NOTE) or _RESULT.fullmatch(line):
            return None
    return Component(_OWN_NAME.format(number), "fail", f"the line {shown(line)} {_STRANGE}")


def _failed_result(line: str) -> Component | None:
    """Return the result in this line as a check; None where it passed, or the line is none."""
    result = _RESULT.fullmatch(line)
    return Component(clean(result["name"]), "fail", clean(line)) if result and result["word"] != "passed" else None

"""LabelTests on a label's value. No I/O.

Regular expressions are RE2's, as PromQL's are: they match the whole value, `.` matches a line feed too, and their
time is linear in the value, which comes from the app. Python's own `re` could be kept busy for hours by a pattern such
as `(a+)+`. The library is loaded only where a rule has such a pattern.
"""

from __future__ import annotations

from sidecars.adapter.rules.ast import Matcher


class BadPattern(ValueError):
    """RE2 does not take it; the text is RE2's."""


def matcher(label: str, operator: str, value: str) -> Matcher:
    """The condition `label operator "value"`. Raises `BadPattern`."""
    match operator:
        case "=":
            return Matcher(label, operator, value, value.__eq__)
        case "!=":
            return Matcher(label, operator, value, value.__ne__)
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415 - 3 MB that only those pay who use it

    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    try:
        pattern = re2.compile(value, options)
    except re2.error as error:
        reason = error.args[0]
        raise BadPattern(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None
    found = pattern.fullmatch
    if operator == "=~":
        return Matcher(label, operator, value, lambda text: found(text) is not None)
    return Matcher(label, operator, value, lambda text: found(text) is None)

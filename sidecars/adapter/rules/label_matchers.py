"""Make label matchers, the conditions of a selector on a label's value. No I/O.

Regular expressions are RE2's, as in PromQL: they match the whole value, `.` matches a line feed, too, and their time is
linear in the value. The value comes from the app, and with Python's `re` a pattern such as `(a+)+` could take hours.
The library is loaded only if a rule has a pattern.
"""

from __future__ import annotations

from sidecars.adapter.rules.ast import LabelMatcher


class BadPattern(ValueError):
    """RE2 refuses the regular expression. The message is RE2's."""


def make_matcher(label: str, operator: str, value: str) -> LabelMatcher:
    """Return the matcher `label operator "value"`. Raises BadPattern."""
    match operator:
        case "=":
            return LabelMatcher(label, operator, value, value.__eq__)
        case "!=":
            return LabelMatcher(label, operator, value, value.__ne__)
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415 - 3 MB that only rules with a pattern need

    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    try:
        pattern = re2.compile(value, options)
    except re2.error as error:
        reason = error.args[0]
        raise BadPattern(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None
    fullmatch = pattern.fullmatch
    if operator == "=~":
        return LabelMatcher(label, operator, value, lambda text: fullmatch(text) is not None)
    return LabelMatcher(label, operator, value, lambda text: fullmatch(text) is None)

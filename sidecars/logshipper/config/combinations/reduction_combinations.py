"""Checks of the settings that reduce the events of an input: why one has no effect there, and what it excludes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sidecars.chassis.config.unused_settings import WhyUnused
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.transform.parsing.formats import RECORD, parse_steps

Variable = Callable[[str, str], str]
"""Returns the environment variable of a field for the input of that name."""


_SAMPLE_RATE = "sample_rate"


def check(one: InputSettings, variable: Variable) -> Iterator[str]:
    """Yield a sentence for each setting that gives the records a second `sample_rate`."""
    if one.sample == 1:
        return
    sample = variable("sample", one.name)
    if _SAMPLE_RATE in (one.labels or {}):
        yield f"{variable('labels', one.name)} and {sample} both have {_SAMPLE_RATE}: a record has it once"
    if one.path_fields is not None and f"{{{_SAMPLE_RATE}}}" in one.path_fields:
        yield f"{variable('path_fields', one.name)} and {sample} both have {_SAMPLE_RATE}: a record has it once"


def needs(variable: Variable) -> dict[str, WhyUnused[InputSettings]]:
    """Return for each field a function for the reason why it has no effect for an input; "" if it has one."""

    def not_for_records(one: InputSettings) -> str:
        if one.format != RECORD:
            return ""
        form = one.set_by.get("format", variable("format", one.name))
        return f"{form}={one.format} has no use for it: records of ours are shipped as they are"

    def a_rate(one: InputSettings) -> str:
        return "" if one.sample > 1 else f"{variable('sample', one.name)} is not: how many are dropped?"

    def fields(one: InputSettings) -> str:
        if parse_steps(one.format).parsers:
            return ""
        form = one.set_by.get("format", variable("format", one.name))
        return f"{form}={one.format} has no use for it: it is for json, logfmt, regex"

    def a_limit(one: InputSettings) -> str:
        return "" if one.rate_limit else f"{variable('rate_limit', one.name)} is not: what is the limit?"

    return {
        "rate_limit": not_for_records,
        "rate_burst": lambda one: not_for_records(one) or a_limit(one),
        "rate_limit_key": lambda one: not_for_records(one) or a_limit(one) or _why_no_value(one, variable),
        "rate_excess": lambda one: not_for_records(one) or a_limit(one),
        "count": not_for_records,
        "sample": lambda one: not_for_records(one) if one.sample > 1 else "",
        "sample_key": lambda one: not_for_records(one) or fields(one) or a_rate(one),
        "sample_except": lambda one: not_for_records(one) or a_rate(one),
    }


def _why_no_value(one: InputSettings, variable: Variable) -> str:
    """Return why no event can have a value of RATE_LIMIT_KEY, as the end of a sentence; "" if one can."""
    steps = parse_steps(one.format)
    streams = ["stream"] if steps.container else []
    names = ["file", *streams, "namespace", "pod", "pod_uid", "pod_ip", "node", *(one.labels or {})]
    wanted = {name.strip() for name in (one.rate_limit_key or "").split(",")}
    if one.path_fields:
        from sidecars.logshipper.transform.parsing.path_fields import PathFields  # noqa: PLC0415 - for such inputs only

        names += [name for name in PathFields(one.path_fields).names if name not in names]
    if not wanted.isdisjoint(names):
        return ""
    if steps.parsers == ("regex",) and not any(f"(?P<{name}>" in (one.regex or "") for name in wanted):
        return f"{variable('regex', one.name)} has no group of that name"
    if steps.parsers:
        return ""
    form = one.set_by.get("format", variable("format", one.name))
    return f"{form}={one.format} has no such field: without fields there are {', '.join(names)}"

"""The needs of the settings of an input. A setting without its need has no effect, which ends the start.

`NEEDS` has the needs of each setting (`sidecars.chassis.config.declared_fields`). They are not in the declarations,
because they read formats, templates and edits, and know the sinks that take an input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sidecars.chassis.config.declared_fields import Beside
from sidecars.logshipper.config import routing, sink_registry
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.transform.parsing.formats import RECORD, parse_steps

if TYPE_CHECKING:
    from sidecars.chassis.config.declared_fields import Need

LEVELS = ("auto", "none")
"""Values of LEVEL_KEY that are no names of fields."""
_WITH_FIELDS = ("json", "logfmt", "regex")
_WITHOUT_READ_AT = ("stdout", "loki", "otlp", "splunk", "forward", "gelf", "gelf_http", "relp", "syslog")
"""Sinks whose messages have one time, which is that of the event or else of the batch; `stdout` writes lines."""

_InputNeed = Callable[[InputSettings, Beside], str]


def _form(one: InputSettings, beside: Beside) -> str:
    """Return FORMAT with its value, by the variable that has set it."""
    return f"{one.set_by.get('format', beside('format'))}={one.format}"


def _parsers(*of_use: str) -> _InputNeed:
    def why(one: InputSettings, beside: Beside) -> str:
        if not set(of_use).isdisjoint(parse_steps(one.format).parsers):
            return ""
        return f"{_form(one, beside)} has no use for it: it is for {', '.join(of_use)}"

    return why


_FIELDS = _parsers(*_WITH_FIELDS)


def _level_field(one: InputSettings, beside: Beside) -> str:
    return "" if one.level_key in LEVELS else _FIELDS(one, beside)


def _texts(one: InputSettings, beside: Beside) -> str:
    from sidecars.logshipper.transform.framing import multiline_kinds  # noqa: PLC0415 - loaded only where it is set

    if one.format != RECORD and (one.format not in ("json", "logfmt") or not multiline_kinds.is_kind(one.multiline)):
        return ""
    return f"{_form(one, beside)} has no use for {one.multiline}: it joins texts"


def _time_key(one: InputSettings, beside: Beside) -> str:
    return "" if one.time_key is not None else f"{beside('time_key')} is not: which field has the time?"


def _times_without_zone(one: InputSettings, beside: Beside) -> str:
    form = one.time_format or ""
    if not (form.startswith("unix") or form == "apache" or "%z" in form or "%s" in form):
        return ""
    return f"the times of {beside('time_format')}={form} have a zone"


def _several_lines(one: InputSettings, beside: Beside) -> str:
    if one.multiline != "none" or parse_steps(one.format).container:
        return ""
    return f"{beside('multiline')} is not: each line is an event"


def _not_records(one: InputSettings, beside: Beside) -> str:
    if one.format != RECORD:
        return ""
    return f"{_form(one, beside)} ships records of ours as they are: leave it out"


def _fitting_path(one: InputSettings, beside: Beside) -> str:
    from sidecars.logshipper.config.combinations import path_combinations  # noqa: PLC0415 - for such inputs only

    return path_combinations.why_unused(one, beside)


def _path_fields(one: InputSettings, beside: Beside) -> str:
    return "" if one.path_fields else f"{beside('path_fields')} is not: which parts of a path are they?"


# -- fewer events --------------------------------------------------------------------------------------------------


def _events(one: InputSettings, beside: Beside) -> str:
    if one.format != RECORD:
        return ""
    return f"{_form(one, beside)} has no use for it: records of ours are shipped as they are"


def _sample(one: InputSettings, beside: Beside) -> str:
    return "" if one.sample > 1 else f"{beside('sample')} is not: how many are dropped?"


def _limit(one: InputSettings, beside: Beside) -> str:
    return "" if one.rate_limit else f"{beside('rate_limit')} is not: what is the limit?"


def _value_of_key(one: InputSettings, beside: Beside) -> str:
    """Return why no event can have a value of RATE_LIMIT_KEY."""
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
        return f"{beside('regex')} has no group of that name"
    if steps.parsers:
        return ""
    return f"{_form(one, beside)} has no such field: without fields there are {', '.join(names)}"


# -- fields --------------------------------------------------------------------------------------------------------


def _edited(field: str) -> _InputNeed:
    def why(one: InputSettings, beside: Beside) -> str:
        from sidecars.logshipper.config.combinations import field_combinations  # noqa: PLC0415 - for such inputs only

        return field_combinations.why_in_vain(field, one, beside)

    return why


def _place_for_read_at(one: InputSettings, beside: Beside) -> str:
    if any(_has_read_at(sink) for sink in beside.settings.sinks.values() if routing.takes(sink, one.name)):
        return ""
    return f"no sink of input {one.name} has a place for `read_at`: leave it out, or set SINK_SCHEMA=ecs"


def _has_read_at(sink: SinkSettings) -> bool:
    if sink.sink_schema != "none" and "sink_schema" in sink_registry.of(sink.url).uses:
        return sink.sink_schema == "ecs"
    return sink_registry.of(sink.url).kind not in _WITHOUT_READ_AT and sink.sink_encoding != "text"


NEEDS: Mapping[str, tuple[Need, ...]] = {
    "path_fields": (_fitting_path,),
    "fair_by": (_path_fields,),
    "regex": (_parsers("regex"),),
    "time_key": (_FIELDS,),
    "time_format": (_time_key,),
    "time_zone": (_time_key, _times_without_zone),
    "level_key": (_level_field,),
    "message_key": (_FIELDS,),
    "multiline": (_texts,),
    "multiline_timeout": (_several_lines,),
    "encoding": (_not_records,),
    "read_at": (_place_for_read_at,),
    "rename": (_edited("rename"),),
    "copy": (_edited("copy"),),
    "remove": (_edited("remove"),),
    "add": (_not_records,),
    "flatten": (_edited("flatten"),),
    "sample": (_events,),
    "sample_key": (_events, _FIELDS, _sample),
    "sample_except": (_events, _sample),
    "count": (_events,),
    "rate_limit": (_events,),
    "rate_burst": (_events, _limit),
    "rate_limit_key": (_events, _limit, _value_of_key),
    "rate_excess": (_events, _limit),
}

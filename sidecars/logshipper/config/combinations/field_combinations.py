"""Checks of the settings about fields, for those that cannot act. Each yields a sentence for a mistake.

| with FORMAT | a record has the fields |
|---|---|
| `raw` | `message` |
| `cri`, `docker` alone | `message`, `stream`, and `attrs` of Docker |
| `regex` alone, or behind a container's | those, and the groups of the regex |
| `record` | its own, which nothing edits |
| others | those that the app writes |

`parse_error` is there beside them, if an event is not in the format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from sidecars.chassis.config import unused_settings
from sidecars.logshipper.config import routing, sink_registry
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.transform.parsing.formats import RECORD, parse_steps

if TYPE_CHECKING:
    from sidecars.logshipper.transform.parsing.field_paths import FieldPath

_ATTRIBUTES = "attrs"
_EDITS = ("rename", "copy", "remove", "flatten")
_WITHOUT_READ_AT = ("stdout", "loki", "otlp", "splunk", "forward", "gelf", "gelf_http", "relp", "syslog")
"""Sinks whose messages have one time, which is that of the event or else of the batch; `stdout` writes lines."""

Variable = Callable[[str, str], str]
"""Returns the environment variable of a field for the input or sink of that name."""


def check(inputs: Mapping[str, InputSettings], sinks: Mapping[str, SinkSettings], variable: Variable) -> Iterator[str]:
    """Yield a sentence for each setting about fields that cannot act."""
    members = list(inputs.values())
    if any(one.set_by.keys() & {*_EDITS, "add"} for one in members):
        edits = {field: _edits_in_vain(field, variable) for field in _EDITS}
        yield from unused_settings.unused_variables(members, edits)

    def takers(one: InputSettings) -> list[SinkSettings]:
        return [sink for sink in sinks.values() if routing.takes(sink, one.name)]

    def no_place(one: InputSettings) -> str:
        if any(map(_has_read_at, takers(one))):
            return ""
        return f"no sink of input {one.name} has a place for `read_at`: leave it out, or set SINK_SCHEMA=ecs"

    yield from unused_settings.unused_variables(
        members,
        {
            "read_at": no_place,
            "add": lambda one: _of_records(one, variable),
            "encoding": lambda one: _of_records(one, variable),
        },
    )
    for sink in sinks.values():
        if sink.sink_labels:
            yield from _labels(sink, [one for one in members if routing.takes(sink, one.name)], variable)


def _has_read_at(sink: SinkSettings) -> bool:
    if sink.sink_schema != "none" and "sink_schema" in sink_registry.of(sink.url).uses:
        return sink.sink_schema == "ecs"
    return sink_registry.of(sink.url).kind not in _WITHOUT_READ_AT and sink.sink_encoding != "text"


def _of_records(one: InputSettings, variable: Variable) -> str:
    return f"{_form(one, variable)} ships records of ours as they are: leave it out" if one.format == RECORD else ""


def _form(one: InputSettings, variable: Variable) -> str:
    return f"{one.set_by.get('format', variable('format', one.name))}={one.format}"


# -- edits ---------------------------------------------------------------------------------------------------------


def _edits_in_vain(field: str, variable: Variable) -> unused_settings.WhyUnused[InputSettings]:
    """Return the reason why an edit of an input finds nothing."""

    def why_not(one: InputSettings) -> str:
        if one.format == RECORD:
            return _of_records(one, variable)
        from sidecars.logshipper.transform.parsing import field_edits  # noqa: PLC0415 - loaded only where it is set

        renamed = field_edits.parse_moves(one.rename) if one.rename else []
        moves = [*renamed, *(field_edits.parse_moves(one.copy) if one.copy else [])]
        known, given = _known_fields(one), [target for _, target in moves]
        if field == "flatten":
            steps = parse_steps(one.format)
            has_objects = "json" in steps.parsers or steps.container == "docker" or any(map(_is_nested, given))
            return "" if has_objects else f"no field of {_form(one, variable)} is an object: leave it out"
        if field == "remove":
            sources = field_edits.parse_removed(one.remove or "")
        else:
            sources = [source for source, _ in field_edits.parse_moves(getattr(one, field) or "")]
        taken = _taken_fields(one, variable)
        gone = {source.literal for source, _ in renamed} - {target.literal for target in given}
        for path in sources:
            if path.literal in taken:
                return f"{taken[path.literal]} has taken {path.literal} out of the fields before: leave one out"
            if field != "rename" and path.literal in gone:
                return f"{variable('rename', one.name)} has given {path.literal} another name before: use that one"
            if known is not None and not _is_found(path, known, given):
                return f"records of {_form(one, variable)} have {', '.join(sorted(known))}, and no {path.literal}"
        return ""

    return why_not


def _taken_fields(one: InputSettings, variable: Variable) -> dict[str, str]:
    """Return the fields that are out of every record before the edits, with the settings that take them.

    Any level is taken out, but no object. The message is another one's name afterwards if it is a
    text, which it always is but for JSON.
    """
    taken = {}
    steps = parse_steps(one.format)
    if one.level_key and "," not in one.level_key and one.level_key not in ("auto", "none"):
        taken[one.level_key] = variable("level_key", one.name)
    if one.message_key and "," not in one.message_key and steps.parsers and steps.parsers[-1] != "json":
        taken[one.message_key] = variable("message_key", one.name)
        taken.pop("message", "")
    return taken


def _is_nested(path: FieldPath) -> bool:
    return path.is_nested


def _known_fields(one: InputSettings) -> frozenset[str] | None:
    """Return the names of all fields that a record can have; None if the app decides on them."""
    steps = parse_steps(one.format)
    if not set(steps.parsers) <= {"regex"}:
        return None
    entry = {"": (), "cri": ("stream",), "docker": ("stream", _ATTRIBUTES)}[steps.container]
    groups = re.findall(r"\(\?P<(\w+)>", one.regex or "") if steps.parsers else ()
    error = ("parse_error",) if steps.container or steps.parsers else ()
    return frozenset({"message", *entry, *groups, *error})


def _is_found(path: FieldPath, known: Iterable[str], given: Iterable[FieldPath]) -> bool:
    """Return True if the path may name one of the known fields, or one that an edit before has given a name."""
    flat = {*known, *(target.literal for target in given)}
    objects = {_ATTRIBUTES, *(target.names[0] for target in given if target.is_nested)}
    if path.literal.endswith("*") and any(name.startswith(path.literal[:-1]) for name in flat):
        return True
    return path.literal in flat or (path.is_nested and path.names[0] in objects)


# -- labels of events ----------------------------------------------------------------------------------------------


def _labels(sink: SinkSettings, inputs: list[InputSettings], variable: Variable) -> Iterator[str]:
    """Yield a sentence for each of SINK_LABELS that no event can have, or whose name another label has."""
    labels = variable("sink_labels", sink.name)
    for source in sink.sink_labels or ():
        for one in inputs:
            fixed = next((name for name in one.labels or () if _loki_name(name) == source.name), None)
            if fixed is not None:
                yield (
                    f"{labels} and {variable('labels', one.name)} both have {source.name}, and that of all lines "
                    f"counts: give one another name"
                )
                break
        if source.path is None and inputs and all(one.level_key == "none" for one in inputs):
            yield f"{labels} has level, but {variable('level_key', inputs[0].name)} is none: no line has a level"
        if source.path is not None and inputs and all(_lacks(one, source.path) for one in inputs):
            yield (
                f"{labels} names the field {source.path.literal}, but no line of {_form(inputs[0], variable)} has it"
            )


def _lacks(one: InputSettings, path: FieldPath) -> bool:
    known = _known_fields(one)
    if known is None or one.format == RECORD or any((one.rename, one.copy, one.add)):
        return False
    return one.format == "raw" or not _is_found(path, known, ())


def _loki_name(name: str) -> str:
    """Return the name of a label as Loki takes it."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)

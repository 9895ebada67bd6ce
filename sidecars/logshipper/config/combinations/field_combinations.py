"""Settings about fields that cannot act: edits of an input (`why_in_vain`), and labels of a sink (`check`).

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

from sidecars.logshipper.config import routing
from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.config.sink_settings import SinkSettings
from sidecars.logshipper.transform.parsing.formats import RECORD, parse_steps

if TYPE_CHECKING:
    from sidecars.logshipper.transform.parsing.field_paths import FieldPath

_ATTRIBUTES = "attrs"

Variable = Callable[[str, str], str]
"""Returns the environment variable of a field for the input or sink of that name."""
Of = Callable[[str], str]
"""Returns the environment variable of a field of the input at hand."""


def check(inputs: Mapping[str, InputSettings], sinks: Mapping[str, SinkSettings], variable: Variable) -> Iterator[str]:
    """Yield a sentence for each label of events that cannot be."""
    for sink in sinks.values():
        if sink.sink_labels:
            yield from _labels(sink, [one for one in inputs.values() if routing.takes(sink, one.name)], variable)


def _form(one: InputSettings, of: Of) -> str:
    return f"{one.set_by.get('format', of('format'))}={one.format}"


# -- edits ---------------------------------------------------------------------------------------------------------


def why_in_vain(field: str, one: InputSettings, of: Of) -> str:
    """Return the reason why an edit of an input finds nothing, as the end of a sentence; "" if it may find something.

    `of` returns the variable of a field of the input.
    """
    if one.format == RECORD:
        return f"{_form(one, of)} ships records of ours as they are: leave it out"
    from sidecars.logshipper.transform.parsing import field_edits  # noqa: PLC0415 - loaded only where it is set

    renamed = field_edits.parse_moves(one.rename) if one.rename else []
    moves = [*renamed, *(field_edits.parse_moves(one.copy) if one.copy else [])]
    known, given = _known_fields(one), [target for _, target in moves]
    if field == "flatten":
        steps = parse_steps(one.format)
        has_objects = "json" in steps.parsers or steps.container == "docker" or any(map(_is_nested, given))
        return "" if has_objects else f"no field of {_form(one, of)} is an object: leave it out"
    if field == "remove":
        sources = field_edits.parse_removed(one.remove or "")
    else:
        sources = [source for source, _ in field_edits.parse_moves(getattr(one, field) or "")]
    taken = _taken_fields(one, of)
    gone = {source.literal for source, _ in renamed} - {target.literal for target in given}
    for path in sources:
        if path.literal in taken:
            return f"{taken[path.literal]} has taken {path.literal} out of the fields before: leave one out"
        if field != "rename" and path.literal in gone:
            return f"{of('rename')} has given {path.literal} another name before: use that one"
        if known is not None and not _is_found(path, known, given):
            return f"records of {_form(one, of)} have {', '.join(sorted(known))}, and no {path.literal}"
    return ""


def _taken_fields(one: InputSettings, of: Of) -> dict[str, str]:
    """Return the fields that are out of every record before the edits, with the settings that take them.

    Any level is taken out, but no object. The message is another one's name afterwards if it is a
    text, which it always is but for JSON.
    """
    taken = {}
    steps = parse_steps(one.format)
    if one.level_key and "," not in one.level_key and one.level_key not in ("auto", "none"):
        taken[one.level_key] = of("level_key")
    if one.message_key and "," not in one.message_key and steps.parsers and steps.parsers[-1] != "json":
        taken[one.message_key] = of("message_key")
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
            form = _form(inputs[0], lambda field: variable(field, inputs[0].name))
            yield f"{labels} names the field {source.path.literal}, but no line of {form} has it"


def _lacks(one: InputSettings, path: FieldPath) -> bool:
    known = _known_fields(one)
    if known is None or one.format == RECORD or any((one.rename, one.copy, one.add)):
        return False
    return one.format == "raw" or not _is_found(path, known, ())


def _loki_name(name: str) -> str:
    """Return the name of a label as Loki takes it."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)

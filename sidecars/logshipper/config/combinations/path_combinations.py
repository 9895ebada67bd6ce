"""Checks of PATH_FIELDS and FAIR_BY beside other settings of an input. Each yields a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sidecars.logshipper.config.input_settings import InputSettings
from sidecars.logshipper.transform.parsing.formats import RECORD
from sidecars.logshipper.transform.parsing.path_fields import PathFields

Variable = Callable[[str, str], str]
"""Returns the environment variable of a field for the input of that name."""

_NO_LABELS = ("namespace", "pod", "pod_uid", "pod_ip", "node")  # Loki has these as ours, or as metadata


def check(one: InputSettings, variable: Variable) -> Iterator[str]:
    """Yield a sentence for each mistake."""
    if one.path_fields is None:
        return
    fields, fair_by = variable("path_fields", one.name), variable("fair_by", one.name)
    template = PathFields(one.path_fields)
    for name in one.fair_by or ():
        if name not in template.names:
            yield f"{fair_by} has {name}, which is no field of {fields}: it has {', '.join(template.names)}"
    for name in dict.fromkeys(one.fair_by or ()):
        if (one.fair_by or ()).count(name) > 1:
            yield f"{fair_by} has {name} twice: files take turns by it once"
    for name in template.names:
        if name in (one.labels or {}):
            yield f"{variable('labels', one.name)} and {fields} both have {name}: a record has it once"


def why_unused(one: InputSettings, of: Callable[[str], str]) -> str:
    """Return why PATH_FIELDS has no effect, as the end of a sentence; "" if it has one."""
    if one.format == RECORD:
        return f"{of('format')}=record has no use for it: records keep their fields"
    if not any(map(PathFields(one.path_fields or "").fits, one.paths)):
        return f"it fits no path of {of('paths')}: each file would be without fields"
    return ""


def labels_of_paths(one: InputSettings) -> int:
    """Return the number of labels that the path gives to a stream of Loki."""
    return sum(name not in _NO_LABELS for name in PathFields(one.path_fields or "").names)

"""The sources of Loki's labels in a setting: `level,{tenant},team={user.team}`.

| item | label | value |
|---|---|---|
| `level` | `level` | the severity in OpenTelemetry's words, such as `info` |
| `{user.team}` | `user_team`: the path in Prometheus' form | the parsed field |
| `team={user.team}` | `team` | the parsed field |

Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sidecars.logshipper.transform.parsing import field_paths
from sidecars.logshipper.transform.parsing.field_paths import FieldPath

MOST = 12
"""Labels of a stream beside namespace, pod and filename: Loki accepts 15 (max_label_names_per_series)."""

_ITEM = re.compile(r"(?:([a-zA-Z_][a-zA-Z0-9_]*)=)?\{([^{}]+)\}")
_COMMA = re.compile(r",(?![^{}]*\})")  # outside of braces
_TAKEN = ("filename", "namespace", "pod", "pod_uid", "pod_ip", "node", "id", "partial", "level")


@dataclass(frozen=True, slots=True)
class LabelSource:
    """One label. `path`: that of a parsed field; None: the level."""

    name: str
    path: FieldPath | None = None


def parse(text: str) -> tuple[LabelSource, ...]:
    """Return the sources. Raises ValueError with a sentence."""
    sources: list[LabelSource] = []
    for item in map(str.strip, _COMMA.split(text)):
        if item == "level":
            sources.append(LabelSource("level"))
            continue
        found = _ITEM.fullmatch(item)
        if found is None:
            raise ValueError("expected level, {field} or name={field}, separated by commas")
        name = found[1] or re.sub(r"[^a-zA-Z0-9_]", "_", found[2])
        if name in _TAKEN or name.startswith("__") or name[0].isdigit():
            raise ValueError(f"expected another label than {name}: give it a name, as in team={{{found[2]}}}")
        sources.append(LabelSource(name, field_paths.parse(found[2])))
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise ValueError("expected each label once")
    if len(names) > MOST:
        raise ValueError(f"expected {MOST} labels at most: with ours Loki would refuse every line")
    return tuple(sources)


def show(sources: tuple[LabelSource, ...]) -> str:
    """Return the setting that `parse` parses into these sources."""
    return ",".join(f"{one.name}={{{_text(one.path)}}}" if one.path else one.name for one in sources)


def _text(path: FieldPath) -> str:
    return ".".join(re.sub(r"([\\.,])", r"\\\1", name) for name in path.names)

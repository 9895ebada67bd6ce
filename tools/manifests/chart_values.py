"""The values of a chart, declared once: `values.yaml`, its JSON Schema and the table of its README."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.manifests.yaml_text import flow

HOST_AND_PATH = r"^([a-z0-9]+([._-]+[a-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*)?$"
DIGEST = r"^(sha256:[0-9a-f]{64})?$"
TAG = r"^([A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$"
REFERENCE = (
    r"^([a-z0-9]+([._-]+[a-z0-9]+)*(:[0-9]+)?/[a-z0-9._/-]+(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?)?$"
)
DNS_NAME = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"


BEGIN = "<!-- values: rendered by `make docs` from tools/manifests; do not edit -->"
END = "<!-- values: end -->"


@dataclass(frozen=True)
class Value:
    """One value of a chart: its path in dots, its default, its JSON Schema, and its meaning."""

    path: str
    default: Any
    schema: dict[str, Any]
    meaning: str

    @property
    def keys(self) -> list[str]:
        return self.path.split(".")


def text(pattern: str | None = None) -> dict[str, Any]:
    return {"type": "string"} | ({"pattern": pattern} if pattern else {})


def listed(items: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "array", "items": items or {"type": "object"}}


BOOLEAN: dict[str, Any] = {"type": "boolean"}
STRINGS: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}
ANY_OBJECT: dict[str, Any] = {"type": "object"}


def schema(values: tuple[Value, ...], title: str, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the closed JSON Schema of the values. `global` is open: a parent chart shares it with others."""
    root: dict[str, Any] = {
        "type": "object",
        "properties": {"global": {"type": "object"}},
        "additionalProperties": False,
    }
    for value in values:
        node = root
        for key in value.keys[:-1]:
            closed = {"type": "object", "properties": {}, "additionalProperties": False}
            node = node["properties"].setdefault(key, closed)
        node["properties"][value.keys[-1]] = {**value.schema, "description": value.meaning}
    root["properties"] |= extra or {}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": title, **root}


def schema_text(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def values_yaml(values: tuple[Value, ...]) -> str:
    """Return the lines of `values.yaml`, each value below its meaning."""
    lines: list[str] = []
    open_keys: list[str] = []
    for value in values:
        *parents, last = value.keys
        if lines and (not parents or parents != open_keys):
            lines.append("")
        for depth, key in enumerate(parents):
            if open_keys[: depth + 1] != parents[: depth + 1]:
                lines.append(f"{'  ' * depth}{key}:")
        indent = "  " * len(parents)
        lines += [f"{indent}# {value.meaning}", f"{indent}{last}: {flow(value.default)}"]
        open_keys = parents
    return "\n".join(lines) + "\n"


def with_table(path: Path, rows: Sequence[tuple[str, ...]]) -> str:
    """Return the text of a README with a table between its two marker comments; the first row has the headings."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path}: the two marker comments of the table are missing")
    head, *others = [f"| {' | '.join(row)} |" for row in rows]
    table = "\n".join([head, "|" + "---|" * len(rows[0]), *others])
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def readme(path: Path, values: tuple[Value, ...]) -> str:
    """Return the text of a chart's README with the table of its values."""
    rows = [("value", "default", "meaning")]
    for value in values:
        default = "" if value.default == "" else f"`{flow(value.default)}`"
        rows.append((f"`{value.path}`", default, value.meaning))
    return with_table(path, rows)

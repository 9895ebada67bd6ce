"""CEL as text: objects of Kubernetes as typed literals, for the patches of an admission policy. No I/O.

    {"name": "adapter", "ports": [{"containerPort": 8081}]}   at `spec.initContainers`
    ─▶ Object.spec.initContainers{name: "adapter", ports: [Object.spec.initContainers.ports{containerPort: 8081}]}

An API server checks that a type's name is the path of its field. It finds a misspelt field only when a Pod is created.
A patch must not have a list of typed objects as its value: the API server's handler would panic (seen on 1.36.2).
`patch` refuses it. A list inside an object is fine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

WIDTH = 110
MAPS = frozenset({"requests", "limits", "labels", "annotations"})
"""Fields whose keys are data: maps, and no types of their own."""


class Expression(str):
    """A text that is CEL already."""

    __slots__ = ()


@dataclass(frozen=True)
class Sum:
    """Lists that are concatenated: lists of objects, and Expressions of lists."""

    parts: tuple[Any, ...]


def literal(value: Any, path: str, indent: int = 0) -> str:
    """Return the CEL of a value that stands in the field `path`, such as `spec.initContainers`, of an object."""
    if isinstance(value, Sum):
        return summed([literal(part, path, indent) for part in value.parts], indent)
    if isinstance(value, list):
        return _enclosed("[", [literal(each, path, indent + 2) for each in value], "]", indent)
    if isinstance(value, dict):
        return _map_or_object(value, path, indent)
    if isinstance(value, Expression):
        return str(value)
    return json.dumps(value, ensure_ascii=False)  # texts, numbers and booleans are written as in JSON


def _map_or_object(value: dict[str, Any], path: str, indent: int) -> str:
    if path.rpartition(".")[2] in MAPS:
        fields = [f"{quoted(key)}: {literal(each, path, indent + 2)}" for key, each in value.items()]
        return _enclosed("{", fields, "}", indent)
    fields = [f"{key}: {literal(each, f'{path}.{key}', indent + 2)}" for key, each in value.items()]
    return _enclosed(f"Object.{path}{{", fields, "}", indent)


def patch(path: str, value: Any, field: str = "", indent: int = 0) -> str:
    """Return a JSONPatch that adds the value at a JSON pointer. `field` is the path of its type: `spec.volumes`.

    Raises ValueError for a list of objects, which no API server survives.
    """
    if isinstance(value, list) and value:
        raise ValueError(f"{path}: a list of objects as the value of a patch ends the API server's handler")
    value = Expression("{}") if value == {} else value
    fields = ['op: "add"', f"path: {quoted(path)}", f"value: {literal(value, field, indent + 2)}"]
    return _enclosed("JSONPatch{", fields, "}", indent)


def patches(items: list[str], indent: int = 0) -> str:
    """Return the list of patches, each from `patch`."""
    return _enclosed("[", items, "]", indent)


def either(condition: str, then: str, otherwise: str = "[]") -> str:
    """Return a conditional in parentheses, since a sum binds stronger."""
    return f"({condition} ? {then} : {otherwise})"


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def summed(parts: list[str], indent: int = 0) -> str:
    """Return the sum of lists, one a line if it is long."""
    one = " + ".join(parts)
    if "\n" not in one and len(one) + indent <= WIDTH:
        return one
    return f" +\n{' ' * indent}".join(parts)


def _enclosed(opening: str, parts: list[str], closing: str, indent: int) -> str:
    one = f"{opening}{', '.join(parts)}{closing}"
    if "\n" not in one and len(one) + indent <= WIDTH:
        return one
    inner = "".join(f"{' ' * (indent + 2)}{part},\n" for part in parts).removesuffix(",\n")
    return f"{opening}\n{inner}\n{' ' * indent}{closing}"

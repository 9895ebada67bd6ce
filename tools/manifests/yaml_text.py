"""YAML as a person writes it: small maps and lists on one line, large ones as blocks. Deterministic, and no I/O."""

from __future__ import annotations

import json
import re
from typing import Any

WIDTH = 120
_PLAIN = re.compile(r"(?!(?:true|false|null|yes|no|on|off|y|n)$)[A-Za-z/][\w./@+-]*(?::[\w./@+-]+)*", re.IGNORECASE)
_QUANTITY = re.compile(r"\d+(?:m|Ki|Mi|Gi)")


class Raw(str):
    """A text that is printed as it is, such as an action of a template."""

    __slots__ = ()


def scalar(value: Any) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    if _PLAIN.fullmatch(text) or _QUANTITY.fullmatch(text):
        return text
    if '"' in text and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text, ensure_ascii=False)


def flow(value: Any) -> str:
    """Return the value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def block(value: Any, indent: int = 0, width: int = WIDTH) -> str:
    """Return the value in lines, each indented by `indent` columns or more, without a line break at the end."""
    return "\n".join(" " * indent + line for line in _lines(value, width - indent))


def _lines(value: Any, width: int) -> list[str]:
    if isinstance(value, dict) and value:
        return [line for key, each in value.items() for line in _entry(f"{scalar(key)}:", each, width)]
    if isinstance(value, list) and value:
        return [line for each in value for line in _item(each, width)]
    return [flow(value)]


def _entry(key: str, value: Any, width: int) -> list[str]:
    if isinstance(value, str) and _is_block(value):
        chomp = "|" if value.endswith("\n") else "|-"
        return [f"{key} {chomp}", *(f"  {line}" if line else "" for line in value.rstrip("\n").split("\n"))]
    line = f"{key} {flow(value)}"
    if len(line) <= width and not (isinstance(value, dict | list) and _is_deep(value)):
        return [line]
    if isinstance(value, dict | list):
        return [key, *(f"  {line}" for line in _lines(value, width - 2))]
    return [line]


def _is_block(text: str) -> bool:
    """Return True if the text has several lines that a block scalar keeps: it trims lines at the end, and indents."""
    several = "\n" in text and not isinstance(text, Raw)
    return several and not text.endswith("\n\n") and not text.startswith((" ", "\n"))


def _item(value: Any, width: int) -> list[str]:
    line = f"- {flow(value)}"
    if not isinstance(value, dict | list) or (len(line) <= width and not _is_deep(value)):
        return [line]
    first, *rest = _lines(value, width - 2)
    return [f"- {first}", *(f"  {line}" for line in rest)]


def _is_deep(value: Any) -> bool:
    """Return True if a list lies within lists and maps, or a text has several lines: then blocks are easier to read."""
    if isinstance(value, str):
        return "\n" in value
    if isinstance(value, dict):
        return any(_is_deep(each) for each in value.values())
    return isinstance(value, list) and any(isinstance(each, dict) and len(flow(each)) > WIDTH // 2 for each in value)

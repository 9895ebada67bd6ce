"""The names of a sidecar's settings, for a JSON Schema and for regular expressions: from its `settings.py` alone."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from sidecars.chassis.config.settings import Settings, Spec, specs
from sidecars.chassis.runtime import light_dataclasses
from tools.manifests.containers import POD, Sidecar

FILE = "_FILE"
NAME = "[A-Z][A-Z0-9]*(_[A-Z0-9]+)*"  # of a member of a group, as the programs accept it


def settings_of(sidecar: Sidecar) -> type[Settings]:
    cls: type[Settings] = import_module(f"sidecars.{sidecar.name}.settings").Settings
    return cls


def plain(sidecar: Sidecar) -> list[Spec]:
    """Return the settings of a sidecar, without those of the downward API, which its container has already."""
    given = {*POD, "POD_UID", "POD_IP"}
    return [spec for spec in specs(settings_of(sidecar)) if spec.variable not in given]


def variables(sidecar: Sidecar) -> list[str]:
    """Return the variables that have no member's name, in the order of the declaration."""
    return [spec.variable for spec in plain(sidecar)]


def anchors(sidecar: Sidecar) -> dict[str, str]:
    """Return, for each group, the suffix of the setting that a member must have: `{"upstreams": "UPSTREAM"}`."""
    fields = light_dataclasses.fields(settings_of(sidecar))
    found = {item.name: item.metadata["anchor"] for item in fields if item.metadata.get("group")}
    return {
        spec.group: spec.suffix for spec in plain(sidecar) if spec.group is not None and found[spec.group] == spec.field
    }


def suffixes(sidecar: Sidecar) -> dict[str, str]:
    """Return the group of each suffix that may have a member's name before it, the longest suffix first."""
    grouped = {spec.suffix: spec.group for spec in plain(sidecar) if spec.group is not None}
    return {suffix: grouped[suffix] for suffix in sorted(grouped, key=lambda each: (-len(each), each))}


def named_pattern(sidecar: Sidecar) -> str | None:
    """Return the regular expression of variables with a member's name; None if the sidecar has no such."""
    known = "|".join(map(re.escape, suffixes(sidecar)))
    return f"^{sidecar.prefix}{NAME}_({known})({FILE})?$" if known else None


def chosen_patterns(sidecar: Sidecar) -> dict[str, tuple[str, ...]]:
    """Return the words of each setting that is one of a few, by the regular expression of its names with a member.

    A suffix that is the end of another one is left out: the expression would match that setting's names, too.
    """
    known = suffixes(sidecar)
    return {
        f"^{sidecar.prefix}{NAME}_{re.escape(spec.suffix)}$": spec.type.choices
        for spec in plain(sidecar)
        if spec.suffix in known and spec.type.choices and not any(one.endswith(f"_{spec.suffix}") for one in known)
    }


def schema(sidecar: Sidecar) -> dict[str, Any]:
    """Return the JSON Schema of a map of settings: an unknown name is refused, and its name is told.

    A value that is one of a few words is checked, too.
    """
    text = {"type": "string"}
    properties: dict[str, Any] = {}
    for spec in plain(sidecar):
        words = {"enum": list(spec.type.choices)} if spec.type.choices else {}
        properties[spec.variable] = {**text, **words, "description": spec.help}
        if spec.variable.startswith(sidecar.prefix):
            properties[f"{spec.variable}{FILE}"] = {**text, "description": f"file with the value of {spec.variable}"}
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if pattern := named_pattern(sidecar):
        chosen = {each: {"enum": list(words)} for each, words in chosen_patterns(sidecar).items()}
        found["patternProperties"] = {pattern: text, **chosen}
    return found

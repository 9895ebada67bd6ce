"""Settings that are set and have no effect. A variable is judged by the members of its group: inputs, sinks or apps.

A variable with a name is for one member. A variable without a name is the default for each member that does not set its
own. It is in use if it has an effect for at least one of them; the others have the setting's own default instead.

`in_force` judges by the needs that are declared (`setting(…, needs=…)`), for all settings of a class at once.
"""

from __future__ import annotations

from sidecars.chassis.config.declared_fields import DEFAULT_NAME, Beside
from sidecars.chassis.runtime import light_dataclasses
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from sidecars.chassis.config.declared_fields import Spec

    SetBy = Mapping[tuple[str | None, str], Mapping[str, str]]
    """The variable that set each field, by the group (None: the process) and the name of the member."""
    Defaults = dict[tuple[str | None, str], dict[str, Any]]
    """The values of fields that are not in force, by the group and the name of the member."""


def in_force(settings: Any, specs: Iterable[Spec], set_by: SetBy) -> tuple[Any, list[str]]:
    """Return the settings, and a sentence for each variable that has no effect for any of its members.

    Of a variable that has an effect for some members, the others get the default. Then a variable that needs it is
    judged again: `--check` prints the result, which must mean the same when it is loaded.
    """
    known = list(specs)
    while True:
        sentences, defaults = _judge(settings, known, set_by)
        if not defaults:
            return settings, sentences
        settings = _with_defaults(settings, defaults)
        set_by = {
            member: {field: variable for field, variable in fields.items() if field not in defaults.get(member, ())}
            for member, fields in set_by.items()
        }


def _judge(settings: Any, specs: Iterable[Spec], set_by: SetBy) -> tuple[list[str], Defaults]:
    """Return a sentence for each variable without any effect, and the defaults of members for which one has none."""
    sentences: list[str] = []
    defaults: Defaults = {}
    for spec in specs:
        reasons: dict[str, dict[str, str]] = {}  # by the variable, and by the member
        for name, member in _members(settings, spec) if spec.needs else ():
            fields = set_by.get((spec.group, name), {})
            variable = fields.get(spec.field)
            if variable is not None and not _is_turned_off(getattr(member, spec.field)):
                reasons.setdefault(variable, {})[name] = _reason(spec, member, Beside(settings, specs, name, fields))
        for variable, by_name in reasons.items():
            if all(by_name.values()):
                sentences.append(f"{variable} is set, but {'; '.join(dict.fromkeys(by_name.values()))}")
                continue
            for name in [name for name, reason in by_name.items() if reason]:
                value = spec.type.parse(spec.default) if spec.default else None
                defaults.setdefault((spec.group, name), {})[spec.field] = value
    return sentences, defaults


def _is_turned_off(value: object) -> bool:
    """Return True if a setting was set to say that nothing is wanted."""
    return value is None or value == {} or str(value) in ("off", "none")


def _members(settings: Any, spec: Spec) -> Iterable[tuple[str, Any]]:
    return getattr(settings, spec.group).items() if spec.group else ((DEFAULT_NAME, settings),)


def _reason(spec: Spec, member: Any, beside: Beside) -> str:
    return next((reason for need in spec.needs if (reason := need(member, beside))), "")


def _with_defaults(settings: Any, defaults: Defaults) -> Any:
    """Return the settings with these fields of their members set to the default."""
    groups: dict[str, dict[str, Any]] = {}
    for (group, name), fields in defaults.items():
        members = groups.setdefault(group or "", {**getattr(settings, group or "")})
        changes = dict(fields)
        if hasattr(members[name], "set_by"):
            changes["set_by"] = {
                field: variable for field, variable in members[name].set_by.items() if field not in fields
            }
        members[name] = light_dataclasses.replace(members[name], **changes)
    return light_dataclasses.replace(settings, **groups)

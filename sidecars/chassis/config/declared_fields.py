"""Declares the fields of settings classes: `setting` for one variable, `group` for the members that share variables."""

from __future__ import annotations

from sidecars.chassis.runtime import light_dataclasses
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from sidecars.chassis.config.setting_types import SettingType


def setting(
    setting_type: SettingType[Any],
    help: str,  # noqa: A002 - its name in every such library
    *,
    default: str | None = None,
    env: str | None = None,
    suffix: str | None = None,
) -> Any:
    """A field of a settings class. No default: required; default "": unset is None. `env` is a name without prefix.
    If that is in lower case, such as `https_proxy`, the name in upper case is read where the other one is not set.

    `suffix` is the variable's name behind the prefix, where it is not that of the field.
    """
    metadata = {"setting_type": setting_type, "help": help, "default": default, "env": env, "suffix": suffix}
    if default is None:
        return light_dataclasses.Field(metadata=metadata)
    return light_dataclasses.Field(lambda: setting_type.parse(default) if default else None, metadata)


def group(cls: type, *, anchor: str) -> Any:
    """Return a field that maps names to members, instances of `cls`: one for each name that sets the field `anchor`.

    If `cls` declares a field `set_by`, it maps each field that is set to the variable that set it: the member's own, or
    the one without a name. A field that is set to its default is left out, because `--check` prints it, too, and its
    output must mean the same when it is loaded. A method `defaults_of(values, spec)` of `cls` returns the value of a
    field that is not set, if that depends on the fields before it.
    """
    return light_dataclasses.Field(dict, {"group": cls, "anchor": anchor})

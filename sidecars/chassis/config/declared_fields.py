"""Declares the fields of settings classes: `setting` for one variable, `group` for the members that share variables.

A setting may say what it needs beside it (`needs`). One that is set and lacks it has no effect, which ends the start
with exit code 78 (`unused_settings`): whoever has set it expects one.
"""

from __future__ import annotations

from sidecars.chassis.runtime import light_dataclasses
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from sidecars.chassis.config.setting_types import SettingType

    Need = Callable[[Any, "Beside"], str]
    """Returns why a setting has no effect beside the others of its member, as the end of a sentence; "" if it has one.

    The second argument returns the variable of a field, for that sentence.
    """

DEFAULT_NAME = "default"  # of the member without a name, in logs, labels and `/status`


def setting(  # noqa: PLR0913 - the declaration has all that is known of a setting
    setting_type: SettingType[Any],
    help: str,  # noqa: A002 - its name in every such library
    *,
    default: str | None = None,
    env: str | None = None,
    suffix: str | None = None,
    needs: tuple[Need, ...] = (),
    heading: str = "",
) -> Any:
    """A field of a settings class. No default: required; default "": unset is None. `env` is a name without prefix.
    If that is in lower case, such as `https_proxy`, the name in upper case is read where the other one is not set.

    `suffix` is the variable's name behind the prefix, where it is not that of the field. `needs` must all be met.
    `heading` is that of this setting and of those after it in `--help`, up to the next one that has a heading.
    """
    metadata = {
        "setting_type": setting_type,
        "help": help,
        "default": default,
        "env": env,
        "suffix": suffix,
        "needs": needs,
        "heading": heading,
    }
    if default is None:
        return light_dataclasses.Field(metadata=metadata)
    return light_dataclasses.Field(lambda: setting_type.parse(default) if default else None, metadata)


def again(cls: type, field: str, *, needs: tuple[Need, ...]) -> Any:
    """A field of `cls`, declared again for a class that derives from it, with these needs before its own."""
    declared = next(item for item in light_dataclasses.fields(cls) if item.name == field)
    metadata = {**declared.metadata, "needs": (*needs, *declared.metadata["needs"])}
    return light_dataclasses.Field(declared.make, metadata)


def group(cls: type, *, anchor: str, needs: Mapping[str, tuple[Need, ...]] | None = None) -> Any:
    """Return a field that maps names to members, instances of `cls`: one for each name that sets the field `anchor`.

    `needs` are further ones by the field, of code that the module of `cls` may not import.

    If `cls` declares a field `set_by`, it maps each field that is set to the variable that set it: the member's own, or
    the one without a name. A field that is set to its default is left out, because `--check` prints it, too, and its
    output must mean the same when it is loaded. A method `defaults_of(values, spec)` of `cls` returns the value of a
    field that is not set, if that depends on the fields before it.
    """
    return light_dataclasses.Field(dict, {"group": cls, "anchor": anchor, "needs": needs or {}})


@dataclass(frozen=True)
class Spec:
    """One declared setting. The loader and the tables use it."""

    field: str
    suffix: str
    variable: str
    type: SettingType[Any]
    help: str
    default: str | None
    group: str | None = None
    needs: tuple[Need, ...] = ()
    heading: str = ""

    def named(self, prefix: str, name: str) -> str:
        """Return the variable of the member called `name`."""
        return self.variable if name == DEFAULT_NAME else f"{prefix}_{name.upper()}_{self.suffix}"


# -- needs --------------------------------------------------------------------------------------------------------


class Beside:
    """The other settings of a member, for a need. `settings` are those of the whole process."""

    def __init__(self, settings: Any, specs: Iterable[Spec], name: str, set_by: Mapping[str, str]) -> None:
        """`set_by`: the variable that set each field of the member."""
        self.settings = settings
        self._specs = specs
        self._name = name
        self._set_by = set_by

    def __call__(self, field: str) -> str:
        """Return the variable of a field, of this member if it is one of its group."""
        found = next(each for each in self._specs if each.field == field)
        return found.named(self.settings.PREFIX, self._name if found.group else DEFAULT_NAME)

    def is_own(self, field: str) -> bool:
        """Return True if the field is set by the variable with the name of this member, one of several."""
        return self._name != DEFAULT_NAME and self._set_by.get(field) == self(field)


_OFF = ("off", "none")


def on(*fields: str) -> Need:
    """Return the need of at least one of these fields: it is set, and neither off nor zero."""

    def why(member: Any, of: Callable[[str], str]) -> str:
        values = [getattr(member, field) for field in fields]
        if any(value and value not in _OFF for value in values):
            return ""
        if len(fields) > 1:
            return f"neither {' nor '.join(map(of, fields))} is: set one of them"
        shown = "not" if values[0] is None else f"{values[0]}".lower().removesuffix(".0")
        return f"{of(fields[0])} is {shown}: set both"

    return why


def gives_way(field: str, other: str) -> Need:
    """Return the need of a field that excludes another one: its default for all gives way to a member's own other one.

    Where both are set in the same way, the contradiction is for the checks of the class.
    """

    def why(_member: Any, of: Beside) -> str:
        return "" if of.is_own(field) or not of.is_own(other) else f"{of(other)} is set in its place"

    return why


def one_of(field: str, *values: str) -> Need:
    """Return the need of one of these values of a field."""

    def why(member: Any, of: Callable[[str], str]) -> str:
        value = getattr(member, field)
        if value in values:
            return ""
        return f"{of(field)}={value} has no use for it: set {of(field)} to {' or '.join(values)}"

    return why


def that(holds: Callable[[Any], object], otherwise: str) -> Need:
    """Return the need of something that a function of the member tells. `otherwise` has fields in braces."""

    def why(member: Any, of: Callable[[str], str]) -> str:
        if holds(member):
            return ""
        parts = otherwise.replace("}", "{").split("{")
        return "".join(of(part) if position % 2 else part for position, part in enumerate(parts))

    return why

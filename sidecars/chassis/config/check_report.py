"""The settings that `--check` prints: those that differ from their defaults, or were set to them, and who has set them.

The result is an environment file of the same meaning. Lines that begin with `#` are for people:

    # 127.0.0.1:8500 -> https://orders, 127.0.0.1:8501 -> http://stock
    AMBASSADOR_ORDERS_UPSTREAM=https://orders
    AMBASSADOR_STOCK_UPSTREAM=http://stock
    AMBASSADOR_ORDERS_PROTOCOL=http2
    # AMBASSADOR_PROTOCOL, the default of all, is in force for orders; not for stock
    AMBASSADOR_STOCK_TOKEN=***
    # AMBASSADOR_STOCK_TOKEN is read from AMBASSADOR_STOCK_TOKEN_FILE=/run/token
    # all others (110) have their defaults: --check=all prints them

Only the command loads this module.
"""

from __future__ import annotations

from sidecars.chassis.config.settings import DEFAULT_NAME, specs
from sidecars.chassis.runtime import logs
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from sidecars.chassis.config.settings import Settings, Spec


def lines(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines for these settings, which were loaded from the environment."""
    report = _Report(settings, environ)
    if summary := settings.summary():
        yield f"# {logs.scrubbed(summary, 'summary')}"
    for spec in specs(type(settings)):
        yield from report.of(spec)
    if report.left_out:
        yield f"# all others ({report.left_out}) have their defaults: --check=all prints them"


class _Report:
    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        disregarded = settings.disregarded(environ)
        self._settings = settings
        self._environ = {name: value for name, value in environ.items() if value and name not in disregarded}
        self._names = {spec.variable for spec in specs(type(settings))}
        self.left_out = 0  # settings that have their defaults

    def of(self, spec: Spec) -> Iterator[str]:
        """Yield the lines of one setting: its values, and then where they come from if that is not the variable."""
        default = spec.type.parse(spec.default) if spec.default else None
        members: Mapping[str, Any] = (
            getattr(self._settings, spec.group) if spec.group else {DEFAULT_NAME: self._settings}
        )
        files: dict[str, str] = {}  # of the variables that are printed and have one of their own
        used: list[str] = []  # the members for which the variable without a name is in force
        unused: list[str] = []
        for name, member in members.items():
            value = getattr(member, spec.field)
            variable = spec.named(self._settings.PREFIX, name)
            is_own = self._is_set(variable)
            is_shared = not is_own and variable != spec.variable and self._is_set(spec.variable)
            if is_shared:
                (unused if self._is_dropped(spec, value, default) else used).append(name)
            if not is_own and value == default and name not in used:
                self.left_out += 1
                continue
            yield f"{variable}={'' if value is None else spec.type.show(value)}"
            if is_own and (path := self._file(variable)):
                files[variable] = path
        for variable, path in files.items():
            yield f"# {variable} is read from {variable}_FILE={path}"
        if used or unused:
            place = f"_FILE={path}" if (path := self._file(spec.variable)) else ""
            sentence = f"# {spec.variable}{place}, the default of all, is in force for {', '.join(used) or 'none'}"
            yield f"{sentence}; not for {', '.join(unused)}" if unused else sentence

    def _is_set(self, variable: str) -> bool:
        return bool(self._found(variable) or self._file(variable))

    def _found(self, variable: str) -> str:
        """Return the text of the variable; one in lower case, such as `https_proxy`, may be in upper case, too."""
        text = self._environ.get(variable, "")
        return text or (self._environ.get(variable.upper(), "") if variable.islower() else "")

    def _file(self, variable: str) -> str:
        """Return the path of the file that gives the variable; "" if none does."""
        name = f"{variable}_FILE"
        return "" if name in self._names else self._environ.get(name, "")

    def _is_dropped(self, spec: Spec, value: object, default: object) -> bool:
        """Return True if the default of all, which is set, is not in force for a member that has this value."""
        if value != default:
            return False
        text = self._found(spec.variable)
        return not text or spec.type.parse(text) != default

"""The values of the settings: as text that may be shown, and as the roots of the process."""

from __future__ import annotations

from sidecars.chassis.config.settings import DEFAULT_NAME, specs
from sidecars.chassis.isolation import roots
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from sidecars.chassis.config.settings import Settings, Spec
    from sidecars.chassis.isolation.roots import DeclaredRoot


def effective(settings: Settings) -> dict[str, str]:
    """Return every variable with its value in force, secrets redacted; "" is unset.

    Without secrets, the result as an environment means the same settings.
    """
    return {
        spec.named(settings.PREFIX, name): "" if value is None else spec.type.show(value)
        for spec, name, value in _values(settings)
    }


def declared_roots(settings: Settings, environ: Mapping[str, str]) -> Iterator[DeclaredRoot]:
    """Yield the root of every path that the settings name: of values, of the files of `NAME_FILE`, and further ones."""
    variables = {spec.variable for spec in specs(type(settings))}
    for spec, name, value in _values(settings):
        if spec.type.roots and value is not None:
            yield from spec.type.roots(value)
        for variable in {spec.variable, spec.named(settings.PREFIX, name)}:
            file_variable = f"{variable}_FILE"
            if file_variable not in variables and (path := environ.get(file_variable)):
                yield from roots.to_read(path)  # a secret is read again at every use
    yield from settings.further_roots()


def _values(settings: Settings) -> Iterator[tuple[Spec, str, Any]]:
    """Yield each setting with its value, and with the name of the member that has it."""
    for spec in specs(type(settings)):
        members: Mapping[str, Any] = getattr(settings, spec.group) if spec.group else {DEFAULT_NAME: settings}
        for name, member in members.items():
            yield spec, name, getattr(member, spec.field)

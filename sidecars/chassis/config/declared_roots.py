"""The declared roots of a process: every path that its settings name, and what it does there."""

from __future__ import annotations

from sidecars.chassis.config.settings import DEFAULT_NAME, specs
from sidecars.chassis.isolation import roots
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from sidecars.chassis.config.settings import Settings
    from sidecars.chassis.isolation.roots import DeclaredRoot


def declared_roots(settings: Settings, environ: Mapping[str, str]) -> Iterator[DeclaredRoot]:
    """Yield the roots of the values, those of the files that `NAME_FILE` names, and `further_roots`."""
    declared = specs(type(settings))
    variables = {spec.variable for spec in declared}
    for spec in declared:
        members: Mapping[str, Any] = getattr(settings, spec.group) if spec.group else {DEFAULT_NAME: settings}
        for name, member in members.items():
            value = getattr(member, spec.field)
            if spec.type.roots and value is not None:
                yield from spec.type.roots(value)
            for variable in {spec.variable, spec.named(settings.PREFIX, name)}:
                file_variable = f"{variable}_FILE"
                if file_variable not in variables and (path := environ.get(file_variable)):
                    yield from roots.to_read(path)  # a secret is read again at every use
    yield from settings.further_roots()

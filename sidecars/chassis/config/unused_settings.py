"""Settings that are set and have no effect. A variable is judged by the members of its group: inputs, sinks or apps.

A variable with a name is for one member. A variable without a name is the default for each member that does not set its
own. It is in use if it has an effect for at least one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar


class GroupMember(Protocol):
    """One member of a group of settings (`sidecars.chassis.config.settings.group`)."""

    @property
    def set_by(self) -> Mapping[str, str]:
        """The variable that set each field, for the fields that are set."""


H = TypeVar("H", bound=GroupMember)
WhyUnused = Callable[[H], str]
"""Returns the reason why a field has no effect for the member, as the end of a sentence; "" if it has one."""

_OFF = (None, "none")


def members_by_variable(members: Iterable[H], field: str) -> dict[str, list[H]]:
    """Return the members for which the field is set and not turned off, by the variable that set it."""
    found: dict[str, list[H]] = {}
    for member in members:
        if field in member.set_by and getattr(member, field) not in _OFF:
            found.setdefault(member.set_by[field], []).append(member)
    return found


def unused_variables(members: Iterable[H], checks: Mapping[str, WhyUnused[H]]) -> Iterator[str]:
    """Yield a sentence for each variable that has no effect for any of its members."""
    known = list(members)
    for field, why_unused in checks.items():
        for variable, concerned in members_by_variable(known, field).items():
            reasons = [why_unused(member) for member in concerned]
            if all(reasons):
                yield f"{variable} is set, but {'; '.join(dict.fromkeys(reasons))}"

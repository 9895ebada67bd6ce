"""Settings that are set and have no effect, judged for each variable by the things that it is for: inputs, sinks, apps.

A variable with a name is for one of them. One without a name is the default for all that set none of their own: it may
be of use for some of them only, and is unused when it is of use for none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar


class GroupMember(Protocol):
    """One of several things of a kind (`sidecars.chassis.config.settings.group`)."""

    @property
    def set_by(self) -> Mapping[str, str]:
        """For each field that was set, the variable that set it."""


H = TypeVar("H", bound=GroupMember)
WhyUnused = Callable[[H], str]
"""Return why a field has no effect for the member, as the second half of a sentence; "" if it has one."""

_OFF = (None, "none")


def members_by_variable(members: Iterable[H], field: str) -> dict[str, list[H]]:
    """Return the members for which the field is set and not turned off, by the variable that set it."""
    found: dict[str, list[H]] = {}
    for member in members:
        if field in member.set_by and getattr(member, field) not in _OFF:
            found.setdefault(member.set_by[field], []).append(member)
    return found


def unused_variables(members: Iterable[H], needs: Mapping[str, WhyUnused[H]]) -> Iterator[str]:
    """Yield a sentence for each variable that has an effect for none of its members."""
    everyone = list(members)
    for field, why_not in needs.items():
        for variable, concerned in members_by_variable(everyone, field).items():
            reasons = [why_not(member) for member in concerned]
            if all(reasons):
                yield f"{variable} is set, but {'; '.join(dict.fromkeys(reasons))}"

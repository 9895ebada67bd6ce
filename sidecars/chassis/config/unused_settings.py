"""Settings that are set and have no effect, judged for each variable by the things that it is for: inputs, sinks, apps.

A variable with a name is for one of them. One without a name is the default for all that set none of their own: it may
be of use for some of them only, and is unused when it is of use for none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar


class Holder(Protocol):
    """One of several things of a kind (`sidecars.chassis.config.settings.group`)."""

    @property
    def given(self) -> Mapping[str, str]:
        """For each field that was set, the variable that set it."""


H = TypeVar("H", bound=Holder)
Need = Callable[[H], str]
"""Return why a field has no effect for the holder, as the second half of a sentence; "" if it has one."""

_OFF = (None, "none")


def by_variable(holders: Iterable[H], field: str) -> dict[str, list[H]]:
    """Return the holders for which the field is set and not turned off, by the variable that set it."""
    found: dict[str, list[H]] = {}
    for holder in holders:
        if field in holder.given and getattr(holder, field) not in _OFF:
            found.setdefault(holder.given[field], []).append(holder)
    return found


def unused(holders: Iterable[H], needs: Mapping[str, Need[H]]) -> Iterator[str]:
    """Yield a sentence for each variable that has an effect for none of its holders."""
    everyone = list(holders)
    for field, why_not in needs.items():
        for variable, concerned in by_variable(everyone, field).items():
            reasons = [why_not(holder) for holder in concerned]
            if all(reasons):
                yield f"{variable} is set, but {'; '.join(dict.fromkeys(reasons))}"

"""The endpoints that serve: the first priority with enough usable ones, or everyone in panic. No I/O.

The endpoints of equal priority are a tier. A lower number comes first, as in SRV records (RFC 2782). The first tier of
which at least PANIC_THRESHOLD of the members are usable serves, with its usable members.

Without such a tier there is a panic: health is ignored, and all members of one tier serve. It is the first tier with a
usable member, else the first of all. A few usable endpoints could not carry the load of all, and an attempt at an
endpoint that may fail is better than no attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sidecars.ambassador.balancing.endpoint import Endpoint


class Tier:
    """The endpoints in use: `serving` get attempts, `members` are all of their priority."""

    __slots__ = ("in_panic", "members", "serving")

    def __init__(self, serving: list[Endpoint], members: list[Endpoint], *, in_panic: bool) -> None:
        self.serving = serving
        self.members = members
        self.in_panic = in_panic


def choose_tier(endpoints: Sequence[Endpoint], is_usable: Callable[[Endpoint], bool], panic_threshold: float) -> Tier:
    """Return the tier that serves; an empty one if there are no endpoints. `panic_threshold` is a share."""
    fallback: Tier | None = None
    for priority in sorted({endpoint.priority for endpoint in endpoints}):
        members = [endpoint for endpoint in endpoints if endpoint.priority == priority]
        usable = [endpoint for endpoint in members if is_usable(endpoint)]
        if usable and len(usable) >= panic_threshold * len(members):
            return Tier(usable, members, in_panic=False)
        if fallback is None or (usable and not fallback.serving):
            fallback = Tier(usable, members, in_panic=True)
    if fallback is None:
        return Tier([], [], in_panic=False)
    fallback.serving = fallback.members
    return fallback

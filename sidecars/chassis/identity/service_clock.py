"""The clock of a service, by the field Date of its responses (RFC 9110, 6.6.1). Pure.

A service writes the end of credentials in its own time, and refuses a signature whose time is far from its own. This
clock may be wrong: a node without NTP, or a virtual machine that was suspended. So a service's time is taken from its
response, where it differs by a minute and more. A difference of more than a day is taken for a Date that lies.
"""

from __future__ import annotations

from collections.abc import Mapping

from sidecars.chassis.http.retry_after import unix_time

SAME = 60.0
"""Seconds of a difference that is none: a response was under way, and a Date has whole seconds."""
_MOST = 86_400.0  # seconds


def seconds_ahead(date: str, wall: float, same: float = SAME) -> float:
    """Return the seconds that the clock of `date` is ahead of this one; 0.0 if it is the same, or no date.

    `wall`: seconds since 1970, when the response came. `same`: seconds of a difference that is none.
    """
    theirs = unix_time(date, wall)
    ahead = 0.0 if theirs is None else theirs - wall
    return ahead if same <= abs(ahead) <= _MOST else 0.0


def of(headers: Mapping[str, str], wall: float, same: float = SAME) -> float:
    """Return the seconds that a service's clock is ahead, by its response. A response of a cache says nothing."""
    return 0.0 if "age" in headers else seconds_ahead(headers.get("date", ""), wall, same)

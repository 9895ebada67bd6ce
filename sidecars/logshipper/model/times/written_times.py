"""Written times: nanoseconds since 1970 to RFC 3339. It does not load `timestamps`, which reads times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_SECOND, _REMEMBERED, _LENGTH = 10**9, 4096, 19  # nanoseconds, texts, characters of 2026-01-31T10:00:00
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANGE = (-62135596800, 253402300799)  # seconds: the years 1 to 9999


def rfc3339(time: int) -> str:
    """Return the time in RFC 3339, with milliseconds or nanoseconds if there are any.

    A time outside the years 1 to 9999 becomes the nearest one inside.
    """
    seconds, below = divmod(time, _SECOND)
    if not below:
        return f"{_seconds_text(seconds)}Z"
    milliseconds, rest = divmod(below, 10**6)
    return f"{_seconds_text(seconds)}.{below:09}Z" if rest else f"{_seconds_text(seconds)}.{milliseconds:03}Z"


@lru_cache(maxsize=_REMEMBERED)
def _seconds_text(seconds: int) -> str:
    within = max(_RANGE[0], min(seconds, _RANGE[1]))
    return (_EPOCH + timedelta(seconds=within)).isoformat()[:_LENGTH]

"""The dialect of a response: by the settings, or by the request's `Accept` and path. No I/O.

`auto` takes the first of these that fits:

    Accept  application/health+json                     health+json
            application/vnd.spring-boot.actuator…+json  spring
    path    …/actuator/health[/…]                       spring
            …/health/live, /ready, /started             microprofile
            …/livez, /readyz, /healthz                  kubernetes
    Accept  application/json preferred to text          health+json
    else                                                text
"""

from __future__ import annotations

import re
from functools import lru_cache

from sidecars.adapter.setting_types import DIALECT_NAMES, DialectName
from sidecars.chassis.http.accept_header import media_ranges

_SPRING = re.compile(r"application/vnd\.spring-boot\.actuator(\.v\d+)?\+json")
_PATHS: tuple[tuple[re.Pattern[str], DialectName], ...] = (
    (re.compile(r"(.*/)?actuator/health(/.*)?"), "spring"),
    (re.compile(r"(.*/)?health/(live|ready|started)"), "microprofile"),
    (re.compile(r"(.*/)?(livez|readyz|healthz)"), "kubernetes"),
)


@lru_cache(maxsize=64)  # a Pod has few monitoring systems, and each sends the same headers every time
def choose_dialect(configured: str, path: str, accept: str) -> DialectName:
    """Return the dialect for a request with this path and this `Accept` header ("" without one)."""
    for dialect in DIALECT_NAMES:
        if configured == dialect:
            return dialect
    wanted: dict[str, float] = {}
    for one in media_ranges(accept):
        wanted[one.media_type] = max(one.weight, wanted.get(one.media_type, 0.0))
    best = max(wanted.values(), default=0.0)
    for media_type, weight in wanted.items():
        if weight < best or not weight:
            continue
        if media_type == "application/health+json":
            return "health+json"
        if _SPRING.fullmatch(media_type):
            return "spring"
    path = path.rstrip("/")
    for pattern, dialect in _PATHS:
        if pattern.fullmatch(path):
            return dialect
    json = wanted.get("application/json", 0.0)
    text = max(wanted.get("text/plain", 0.0), wanted.get("text/*", 0.0), wanted.get("text/html", 0.0))
    return "health+json" if json > text else "text"

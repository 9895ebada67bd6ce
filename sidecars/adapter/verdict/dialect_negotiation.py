"""Which dialect a verdict is told in: by the request's `Accept` and path, or as the settings say. No I/O.

`auto` goes by the media types that only one dialect has, then by the paths that monitoring systems are known by, then
by whether JSON is preferred to text:

    Accept  application/health+json                     health+json
            application/vnd.spring-boot.actuator…+json  spring
    path    …/actuator/health[/…]                       spring
            …/health/live, /ready, /started             microprofile
            …/livez, /readyz, /healthz                  kubernetes
    Accept  application/json before text                health+json, else text
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, get_args

from sidecars.chassis.http.accept_header import media_ranges

Format = Literal["text", "kubernetes", "health+json", "spring", "microprofile", "consul", "nagios", "haproxy-agent"]
DIALECT_NAMES: tuple[Format, ...] = get_args(Format)
AUTO = "auto"

SourceFormat = Literal["auto", "text", "openmetrics", "json"]
"""The format of an app's answers: `auto` goes by the Content-Type and by what the body begins and ends with."""

_SPRING = re.compile(r"application/vnd\.spring-boot\.actuator(\.v\d+)?\+json")
_PATHS: tuple[tuple[re.Pattern[str], Format], ...] = (
    (re.compile(r"(.*/)?actuator/health(/.*)?"), "spring"),
    (re.compile(r"(.*/)?health/(live|ready|started)"), "microprofile"),
    (re.compile(r"(.*/)?(livez|readyz|healthz)"), "kubernetes"),
)


@lru_cache(maxsize=64)  # monitoring systems are few, and each says the same every time
def choose_dialect(configured: str, path: str, accept: str) -> Format:
    """The dialect for a request of this path with this Accept header ("" where it has none)."""
    for known in DIALECT_NAMES:
        if configured == known:
            return known
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
    for pattern, known in _PATHS:
        if pattern.fullmatch(path):
            return known
    json = wanted.get("application/json", 0.0)
    text = max(wanted.get("text/plain", 0.0), wanted.get("text/*", 0.0), wanted.get("text/html", 0.0))
    return "health+json" if json > text else "text"

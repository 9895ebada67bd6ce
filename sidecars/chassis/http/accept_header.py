"""The `Accept` header field (RFC 9110, section 12.5.1): media ranges and their weights. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sidecars.chassis.runtime.light_dataclasses import dataclass

_MOST_RANGES = 64  # the rest of a header is ignored
_QUALITY = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


@dataclass(frozen=True, slots=True)
class MediaRange:
    """A media type such as `text/plain` or `*/*`, in lower case, with its parameters and its weight from 0 to 1."""

    media_type: str
    parameters: Mapping[str, str]
    weight: float


def media_ranges(accept: str) -> Iterator[MediaRange]:
    """Yield the media ranges of the header in its order. A range whose weight is malformed is left out."""
    for one in accept.split(",", _MOST_RANGES)[:_MOST_RANGES]:
        media_type, *parameters = (part.strip().lower() for part in one.split(";"))
        values = {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in parameters)}
        weight = values.pop("q", "1")
        if "/" in media_type and _QUALITY.fullmatch(weight):
            yield MediaRange(media_type, values, float(weight))


def weight(accept: str, media_type: str) -> float:
    """Return the weight of a media type such as `text/html`: that of the most specific range that it is in, else 0.

    A header without a range accepts everything.
    """
    ranges = {one.media_type: one.weight for one in media_ranges(accept) if not one.parameters}
    if not accept.strip():
        return 1.0
    main, _, _ = media_type.partition("/")
    return next((ranges[one] for one in (media_type, f"{main}/*", "*/*") if one in ranges), 0.0)


def prefers(accept: str, wanted: str, default: str) -> bool:
    """Return True if the header gives `wanted` a greater weight than `default`."""
    return weight(accept, wanted) > weight(accept, default)

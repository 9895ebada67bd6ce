"""The sentences about wrong settings: which text of a wrong value is repeated, and which name was meant. No I/O.

Only a start that fails loads this module. A wrong value is repeated, as that shows the mistake, except where it may
hold a secret: a setting that hides a part of its value, unless that is plainly `host:port`, and the text of a file,
which may be another file than was meant.
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

_ONE_CHARACTER = 0.96  # similarity of two names of usual length, one of which has one character more
_SHOWN = 120  # characters of a wrong value that a sentence repeats
_VERY = 0.85  # similar: a letter or two


def sentence(variable: str, value: str, setting_type: SettingType[Any], problem: str, *, is_file: bool = False) -> str:
    """Return the sentence about a variable. `value` is its text, which may be wrong, or the name of its file.

    The name of a file is shown if it can be nothing else. Otherwise it may be the secret, in the wrong variable.
    """
    could_be_secret = setting_type.secret and "path" in setting_type.name  # a secret that is a path itself
    is_path = is_file and not could_be_secret and _is_path(value)
    is_place = not setting_type.secret and "URL" in setting_type.name and _is_place(value)
    is_hidden = (setting_type.secret or setting_type.sensitive) and not is_path and not is_place
    return f"{variable}={HIDDEN if is_hidden else truncate(redact_credentials(value), _SHOWN)}: {problem}"


def _is_path(value: str) -> bool:
    """Return True if the text is that of an absolute path, as in all manifests, and of nothing longer."""
    from re import fullmatch  # noqa: PLC0415 - only for such a mistake

    return fullmatch(r"(/[\w.,@-]+)+", value) is not None


def _is_place(value: str) -> bool:
    """Return True if the text is `host:port`, perhaps with a scheme, or several between commas: it has no secret part.

    A long word with a digit in it is no name of a host here, since it may be a token.
    """
    from re import fullmatch  # noqa: PLC0415 - only for such a mistake

    label = r"(?!(?=[a-z-]*[0-9])[a-z0-9-]{16})[a-z0-9-]+"
    place = rf"([a-z][a-z0-9+]{{0,15}}://)?({label}(\.{label})*\.?|\[[0-9a-f:.]+\]):[0-9]{{1,5}}"
    return all(fullmatch(place, item.strip()) for item in value.split(","))


def closest(variable: str, known: set[str], cutoff: float) -> str:
    """Return the known variable that was probably meant; "" if there is none.

    It is the singular or the plural of this one, or a short one that begins with it, or a very similar one, or this one
    without its first or its last word, or a similar one.
    """
    name = variable.upper()
    for number in (f"{name}S", name.removesuffix("S")):
        if number in known and number != name:
            return number
    longer = [one for one in known if one.startswith(f"{name}_")]
    if longer and "_" in name:  # more than the prefix
        return min(longer, key=lambda one: (len(one), one))
    similar = _most_similar(name, known, max(cutoff, _VERY))
    if similar or cutoff >= _VERY:
        return similar
    prefix, _, rest = name.partition("_")
    shorter = (f"{prefix}_{rest.partition('_')[2]}", name.rpartition("_")[0])
    return next((one for one in shorter if one in known), "") or _most_similar(name, known, cutoff)


def _most_similar(name: str, known: set[str], cutoff: float) -> str:
    """Return the most similar variable, beside the prefix that all of the program have; "" if there is none."""
    prefix = f"{name.partition('_')[0]}_"
    rest, ours = name.removeprefix(prefix), [one.removeprefix(prefix) for one in known if one.startswith(prefix)]
    if close := get_close_matches(rest, sorted(ours), 1, cutoff):
        return prefix + close[0]
    return next(iter(get_close_matches(rest, sorted(known), 1, cutoff)), "")


def without_anchor(
    named: Iterable[str], anchor: str, known: set[str], others: set[str], environ: Container[str]
) -> dict[str, str]:
    """Return a sentence for each variable of a member that is set although the member's anchor is not.

    `known`: the variables without a name. `others`: those of the other members, such as that of a sink whose name was
    misspelt, or was given to a setting of inputs.
    """
    problems = {}
    for variable in named:
        for present in (variable, f"{variable}_FILE"):
            if present in environ:
                close = closest(present, known, 0.9)
                hint = f"; did you mean {close}?" if close else ": set both"
                if not close and (other := closest(present, others, 0.85)):
                    hint = f": set both, or did you mean {other}?"
                problems[present] = f"{present} is set, but {anchor} is not{hint}"
    return problems

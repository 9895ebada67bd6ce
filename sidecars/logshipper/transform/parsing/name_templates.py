"""Templates of names: the syntax of `logs-{tenant}-%Y.%m.%d`, from which the name of each event's target is made.

| text | stands for |
|---|---|
| `{name}` | a label, a Pod field, `level`, `file`, `input`, or a parsed field, by its path (`user.tenant`) |
| `{batch_key}` | the key of the batch, which is the same whenever the batch is sent again |
| `%Y %y %m %d %j %H %M %S %F %G %V %u` | the event's time in UTC, as strftime(3) has them |
| `{{`, `}}`, `%%` | a brace, a per cent sign |

Pure, and without the values: `sinks.encodings.target_names` has them. Settings are checked by parsing them here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sidecars.logshipper.transform.parsing import field_paths
from sidecars.logshipper.transform.parsing.field_paths import FieldPath

_TOKEN = re.compile(r"\{\{|\}\}|%%|\{([^{}]*)\}|%(.?)|[{}]|[^{}%]+", re.DOTALL)
_PLAIN = {"{{": "{", "}}": "}", "%%": "%"}
_FIELD = re.compile(r"[^\s{}%,\"']{1,200}")

_SECOND, _MINUTE, _HOUR, _DAY = 1, 60, 3600, 86400
_QUANTA = {**dict.fromkeys("YymdjFGVu", _DAY), "H": _HOUR, "M": _MINUTE, "S": _SECOND}
_WIDTHS = {"Y": 4, "j": 3, "F": 10, "G": 4, "u": 1}  # characters; the others have two
_WIDTH = 2

BATCH_KEY = "batch_key"
_KEY_LENGTH = 32
_EACH_ITS_OWN = ("id", "message", "offset")


@dataclass(frozen=True, slots=True)
class Field:
    """`{name}`: a value of the event. `path`: where it is among parsed fields."""

    name: str
    path: FieldPath


@dataclass(frozen=True, slots=True)
class Moment:
    """A directive of strftime. `seconds`: the time for which its text stays the same."""

    form: str
    seconds: int
    width: int  # characters of the result


Part = str | Field | Moment


def parse(text: str) -> tuple[Part, ...]:
    """Return the parts of a template. Raises ValueError with a sentence if it is none."""
    parts: list[Part] = []
    for found in _TOKEN.finditer(text):
        token, name, directive = found[0], found[1], found[2]
        if name is not None:
            parts.append(Field(_checked(name), field_paths.parse(name)))
        elif directive is not None:
            if directive not in _QUANTA or not directive:
                known = " ".join(f"%{one}" for one in _QUANTA)
                raise ValueError(
                    f"expected a template with {known} for times, which {token} is not; %% is a per cent sign"
                )
            parts.append(Moment(token, _QUANTA[directive], _WIDTHS.get(directive, _WIDTH)))
        elif token in ("{", "}"):
            raise ValueError("expected a template with the names of fields in {braces}; {{ is a brace itself")
        else:
            parts.append(_PLAIN.get(token, token))
    return tuple(_joined(parts))


def _checked(name: str) -> str:
    if name in _EACH_ITS_OWN:
        raise ValueError(f"expected a template without {{{name}}}: each event would have a name of its own")
    if name == "time":
        raise ValueError("expected a template without {time}: the event's time is %Y-%m-%d")
    if not _FIELD.fullmatch(name):
        raise ValueError("expected a template with the name of a field in {braces}, without spaces and quotes")
    return name


def _joined(parts: list[Part]) -> list[Part]:
    """Return the parts with neighbouring texts as one."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def longest(parts: tuple[Part, ...], value: int) -> int:
    """Return the bytes of the longest name, if a field's value has `value` of them at most."""

    def size(part: Part) -> int:
        if isinstance(part, str):
            return len(part.encode())
        if isinstance(part, Moment):
            return part.width
        return _KEY_LENGTH if part.name == BATCH_KEY else value

    return sum(map(size, parts))


def is_constant(parts: tuple[Part, ...]) -> bool:
    """Return True if every event has the same name."""
    return all(isinstance(part, str) for part in parts)

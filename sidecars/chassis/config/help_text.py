"""The text of `--help`, and the words about settings that the tables of the READMEs share with it.

    usage: python -m sidecars.ambassador [--check[=all]|--help[=WORD]|--version]

    Time limits

      AMBASSADOR_CONNECT_TIMEOUT     1s  (duration)
          the time for the connection and the TLS handshake

A heading is declared by the first setting of its group (`declared_fields`). Only the command loads this module.
"""

from __future__ import annotations

from textwrap import TextWrapper

from sidecars.chassis.config.settings import specs
from sidecars.chassis.runtime.light_dataclasses import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecars.chassis.config.settings import Settings, Spec

_WIDTH = 79  # columns


def of(cls: type[Settings], usage: str, word: str = "") -> str:
    """Return the text: each variable with its default and type, and its meaning below, under the heading of its group.

    With a word: only the variables that have it in their name or meaning, whatever its case; "" if none has it.
    """
    groups = [(heading, [spec for spec in members if _has(spec, word)]) for heading, members in by_heading(cls)]
    shown = [spec for _, members in groups for spec in members]
    if not shown:
        return ""
    width = max(len(spec.variable) for spec in shown)
    parts = [] if word else [f"usage: {usage}", _introduction(cls)]
    for heading, members in groups:
        parts += [heading] if heading and members else []
        parts += [_described(spec, width) for spec in members]
    return "\n\n".join(parts)


def by_heading(cls: type[Settings]) -> list[tuple[str, list[Spec]]]:
    """Return the settings of each heading, in their order; the heading is "" for those before the first one."""
    groups: list[tuple[str, list[Spec]]] = []
    for spec in specs(cls):
        if spec.heading or not groups:
            groups.append((spec.heading, []))
        groups[-1][1].append(spec)
    return groups


def _has(spec: Spec, word: str) -> bool:
    return word.lower() in f"{spec.variable} {_meaning(spec)}".lower()


def _introduction(cls: type[Settings]) -> str:
    about = (
        "Without an argument it runs. It is configured by environment variables alone; any of them may be given by a"
        " file instead, with _FILE added to its name. --help=WORD prints the settings with this word in their name or"
        " meaning."
    )
    return _wrapped(f"{about} {naming_note(cls)}".rstrip())


def _described(spec: Spec, width: int) -> str:
    value = f"{format_default(spec)}  ({spec.type.name})"
    first, further = f"  {spec.variable:<{width}}  ", " " * (width + 4)
    if len(first) + len(value.partition(" ")[0]) > _WIDTH:  # a long path: beside the name, and not in the column
        first = f"  {spec.variable}  "
    return _wrapped(value, first, further) + "\n" + _wrapped(_meaning(spec), "      ", "      ")


def _meaning(spec: Spec) -> str:
    return spec.help.replace("`", "")


def _wrapped(text: str, first: str = "", further: str = "") -> str:
    """Return the text, wrapped between words. A hyphen is no place to break: `if-changed` is a value to copy."""
    return TextWrapper(
        _WIDTH,
        initial_indent=first,
        subsequent_indent=further,
        replace_whitespace=False,
        break_on_hyphens=False,
        break_long_words=False,
    ).fill(text)


def format_default(spec: Spec) -> str:
    if spec.default is None:
        return "required"
    return spec.default or "-"


def naming_note(cls: type[Settings]) -> str:
    """Return the sentence about variables with a name in them; "" if the class has no group."""
    grouped = [spec for spec in specs(cls) if spec.group]
    if not grouped:
        return ""
    example = grouped[0].named(cls.PREFIX, "orders")
    return (
        f"There can be several {group_names(grouped)}: a variable may have the name of one after the prefix, such as"
        f" {example}; a variable without a name is for the only one, or the default for all."
    )


def group_names(grouped: Sequence[Spec]) -> str:
    """Return the names of the groups to which these settings belong: `inputs and sinks`."""
    return " and ".join(dict.fromkeys(spec.group or "" for spec in grouped))

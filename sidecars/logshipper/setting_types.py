"""The kinds of settings that tell how lines are read and shaped. Each is checked by making what it is for.

What checks them is loaded only where they are set: most Pods ship their lines as they are.
"""

from __future__ import annotations

import re

from sidecars.chassis.config.setting_types import SettingType, text

RESERVED = ("id", "file", "partial", "time", "level", "severity", "message")
"""What a record calls its own."""


def _parse_regex(raw: str) -> str:
    from sidecars.logshipper.transform import parsers  # noqa: PLC0415 - see above

    parsers.create_parser("regex", raw)
    return raw


def _parse_search(raw: str) -> str:
    from sidecars.logshipper.transform import linear_regex  # noqa: PLC0415 - see above

    linear_regex.compile_re2(raw)
    return raw


def _parse_multiline(raw: str) -> str:
    from sidecars.logshipper.transform import multiline  # noqa: PLC0415 - see above

    expected = f"expected none, {', '.join(multiline.CONTINUED)}, or the regex of an event's first line"
    known = ("none", *multiline.CONTINUED)
    if raw.isalpha() and raw not in known:
        raise ValueError(f"{expected}, such as ^{raw}")
    if raw not in known and all(word.lower() in known for word in re.split(r"[\s,;|+]+", raw)):
        raise ValueError(f"{expected}; it is one of them, not several")
    if raw == multiline.REGEX:
        raise ValueError(f"{expected}; the regex is missing")
    try:
        multiline.create_splitter(raw, 1)
    except ValueError as error:
        raise ValueError(f"{expected}; as that it {error}") from None
    return raw


def _parse_time_format(raw: str) -> str:
    from sidecars.logshipper.model import timestamps  # noqa: PLC0415 - see above

    timestamps.parser(raw)
    return raw


def _parse_redact(raw: str) -> str:
    from sidecars.logshipper.transform import redaction  # noqa: PLC0415 - see above

    redaction.Redactor(raw)
    return raw


def _parse_label(raw: str) -> str:
    if raw in RESERVED:
        raise ValueError(f"{raw} cannot be a label: a record has that already")
    return raw


groups = SettingType("regex", _parse_regex)
search = SettingType("regex", _parse_search)
multiline = SettingType("none · java · python · go · indent · regex", _parse_multiline)
time_format = SettingType("time format", _parse_time_format)
redaction = SettingType("name or /regex/, …", _parse_redact)
label = SettingType(text.name, _parse_label)

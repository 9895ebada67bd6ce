"""The types of logshipper's settings. A value is checked by making the parser, regex or redactor that it configures.

The modules of `transform` are imported only where such a setting is set: most Pods ship their lines unchanged, and
start sooner without RE2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from sidecars.chassis.config.setting_types import HIDDEN, Secret, SettingType, fixed_secret, text
from sidecars.chassis.isolation import roots
from sidecars.chassis.isolation.roots import DeclaredRoot
from sidecars.logshipper.config import header_pairs, sink_registry

RESERVED = ("id", "file", "partial", "time", "level", "severity", "message")
"""The fields that logshipper sets in each record: a label cannot have one of these names."""

# -- of inputs -----------------------------------------------------------------------------------------------------


def _parse_glob(raw: str) -> str:
    if not raw.startswith("/"):
        raise ValueError("expected absolute paths or globs, such as /logs/*.log")
    return raw


def _parse_directory(raw: str) -> str:
    if not raw.startswith("/") or {".", ".."}.intersection(raw.split("/")):
        raise ValueError("expected absolute directories without . and .., such as /var/log/pods")
    return raw


def _parse_regex(raw: str) -> str:
    from sidecars.logshipper.transform import parsers  # noqa: PLC0415 - loaded only where the setting is set

    parsers.create_parser("regex", raw)
    return raw


def _parse_search(raw: str) -> str:
    from sidecars.logshipper.transform import linear_regex  # noqa: PLC0415 - loaded only where the setting is set

    linear_regex.compile_re2(raw)
    return raw


def _parse_multiline(raw: str) -> str:
    from sidecars.logshipper.transform import multiline  # noqa: PLC0415 - loaded only where the setting is set

    expected = f"expected none, {', '.join(multiline.CONTINUATIONS)}, or the regex of an event's first line"
    known = ("none", *multiline.CONTINUATIONS)
    if raw.isalpha() and raw not in known:
        raise ValueError(f"{expected}, such as ^{raw}")
    if raw not in known and all(word.lower() in known for word in re.split(r"[\s,;|+]+", raw)):
        raise ValueError(f"{expected}; it is one of them, not several")
    if raw == multiline.REGEX:
        raise ValueError(f"{expected}; the regex is missing")
    try:
        multiline.create_splitter(raw, 1)
    except ValueError as error:
        raise ValueError(f"{expected}; as a regex it {error}") from None
    return raw


def _parse_time_format(raw: str) -> str:
    from sidecars.logshipper.model import timestamps  # noqa: PLC0415 - loaded only where the setting is set

    timestamps.parser(raw)
    return raw


def _parse_redact(raw: str) -> str:
    from sidecars.logshipper.transform import redaction  # noqa: PLC0415 - loaded only where the setting is set

    redaction.Redactor(raw)
    return raw


def _parse_label(raw: str) -> str:
    if raw in RESERVED:
        raise ValueError(f"{raw} cannot be a label: a record has that already")
    return raw


glob = SettingType("glob", _parse_glob, roots=lambda pattern: roots.to_read(roots.glob_base(pattern)))
directory = SettingType("directory", _parse_directory, roots=roots.to_read)
groups = SettingType("regex", _parse_regex)
search = SettingType("regex", _parse_search)
multiline = SettingType("none · java · python · go · indent · regex", _parse_multiline)
time_format = SettingType("time format", _parse_time_format)
redaction = SettingType("name or /regex/, …", _parse_redact)
label = SettingType(text.name, _parse_label)

# -- of sinks ------------------------------------------------------------------------------------------------------


def _parse_headers(raw: str) -> Secret:
    names = [name for name, _ in header_pairs.parse(raw)]
    return fixed_secret(raw, ",".join(f"{name}={HIDDEN}" for name in names), header_pairs.values)


def _parse_attributes(raw: str) -> dict[str, str]:
    return dict(header_pairs.parse_pairs(raw))


def _parse_on_reject(raw: str) -> Path | None:
    if raw != "drop" and not raw.startswith("/"):
        raise ValueError("expected drop, or an absolute directory for dead letters")
    return None if raw == "drop" else Path(raw)


def _roots_of_letters(folder: Path | None) -> Iterable[DeclaredRoot]:
    return roots.to_write(folder) if folder else ()


sink_url = SettingType("URL", sink_registry.parse, sensitive=True, roots=sink_registry.roots_of)
http_headers = SettingType("Name=value, …", _parse_headers, repr, secret=True, parts=header_pairs.values)
attributes = SettingType("name=value, …", _parse_attributes, header_pairs.show_pairs)
dead_letters: SettingType[Path | None] = SettingType(
    "drop · directory", _parse_on_reject, lambda value: str(value or "drop"), roots=_roots_of_letters
)

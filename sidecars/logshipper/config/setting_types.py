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
from sidecars.logshipper.transform.parsing import formats as formats_of_inputs

RESERVED = ("id", "file", "partial", "time", "level", "severity", "message")
"""The fields that logshipper sets in each record: a label cannot have one of these names."""

_LONGEST_TARGET, _LONGEST_VALUE = 1024, 63  # bytes of a name that a template makes, and of a value in it

# -- of inputs -----------------------------------------------------------------------------------------------------


def _parse_glob(raw: str) -> str:
    if not raw.startswith("/"):
        raise ValueError("expected absolute paths or globs, such as /logs/*.log")
    return raw


def _parse_directory(raw: str) -> str:
    if not raw.startswith("/") or {".", ".."}.intersection(raw.split("/")):
        raise ValueError("expected absolute directories without . and .., such as /var/log/pods")
    return raw


def _parse_format(raw: str) -> str:
    container, steps = formats_of_inputs.parse_steps(raw)
    if raw == formats_of_inputs.RECORD:
        return raw
    return ",".join((container, *steps) if container else steps) or "raw"


def _parse_regex(raw: str) -> str:
    from sidecars.logshipper.transform.parsing import parsers  # noqa: PLC0415 - loaded only where the setting is set

    parsers.create_parser("regex", raw)
    return raw


def _parse_search(raw: str) -> str:
    from sidecars.logshipper.transform.patterns import linear_regex  # noqa: PLC0415 - loaded only where the setting is set

    linear_regex.compile_re2(raw)
    return raw


def _parse_multiline(raw: str) -> str:
    if raw == "none":
        return raw
    from sidecars.logshipper.transform.framing import multiline, multiline_kinds  # noqa: PLC0415 - loaded only where the setting is set

    names = multiline_kinds.NAMES
    expected = f"expected none, {', '.join(names)}, several of them, or the regex of an event's first line"
    if multiline_kinds.is_kind(raw):
        return raw
    if raw.isalpha():
        raise ValueError(f"{expected}, such as ^{raw}")
    if all(word.lower() in ("none", *names) for word in re.split(r"[\s,;|+]+", raw)):
        raise ValueError(f"{expected}; several are written as java,python")
    words = [word.strip() for word in raw.split(",")]
    if len(words) > 1 and all(map(str.isalpha, words)) and set(words) & set(names):
        unknown = next((word for word in words if word not in names or word == multiline_kinds.AUTO), words[0])
        raise ValueError(f"{expected}; {unknown} is none that a list can have")
    if raw == multiline.REGEX:
        raise ValueError(f"{expected}; the regex is missing")
    try:
        multiline.create_splitter(raw, 1)
    except ValueError as error:
        raise ValueError(f"{expected}; as a regex it {error}") from None
    return raw


def _parse_time_format(raw: str) -> str:
    from sidecars.logshipper.model.times import timestamps  # noqa: PLC0415 - loaded only where the setting is set

    timestamps.parser(raw)
    return raw


def _parse_time_zone(raw: str) -> str:
    from sidecars.logshipper.model.times import time_zones  # noqa: PLC0415 - loaded only where the setting is set

    if raw != "local":
        time_zones.find(raw)  # its data are read here, before the process confines itself
    return raw


def _parse_encoding(raw: str) -> str:
    from sidecars.logshipper.transform.framing import decoding  # noqa: PLC0415 - loaded only where the setting is set

    return decoding.find(raw)


def _parse_field_paths(raw: str) -> str:
    from sidecars.logshipper.transform.parsing import field_paths  # noqa: PLC0415 - loaded only where the setting is set

    field_paths.parse_list(raw)
    return raw


def _parse_path_fields(raw: str) -> str:
    from sidecars.logshipper.transform.parsing import path_fields  # noqa: PLC0415 - loaded only where the setting is set

    path_fields.PathFields(raw)
    return raw


def _parse_path_field(raw: str) -> str:
    if not re.fullmatch(r"[a-zA-Z_]\w*", raw, re.ASCII):
        raise ValueError("expected names of fields between commas, such as namespace")
    return raw


def _parse_redact(raw: str) -> str:
    from sidecars.logshipper.transform.redaction import redactor  # noqa: PLC0415 - loaded only where the setting is set

    redactor.Redactor(raw)
    return raw


def _parse_label(raw: str) -> str:
    if raw in RESERVED:
        raise ValueError(f"{raw} cannot be a label: a record has that already")
    return raw


glob = SettingType("glob", _parse_glob, roots=lambda pattern: roots.to_read(roots.glob_base(pattern)))
directory = SettingType("directory", _parse_directory, roots=roots.to_read)
formats = SettingType("raw · json · logfmt · regex · cri · docker · record, or two", _parse_format)
groups = SettingType("regex", _parse_regex)
search = SettingType("regex", _parse_search)
multiline = SettingType("none · kind, … · auto · regex", _parse_multiline)
time_format = SettingType("time format", _parse_time_format)
encoding = SettingType("encoding", _parse_encoding)
time_zone = SettingType("zone", _parse_time_zone)
field_paths = SettingType("field, …", _parse_field_paths)
path_fields = SettingType("kubernetes · template", _parse_path_fields)
path_field = SettingType("field of a path", _parse_path_field)
redaction = SettingType("name or /regex/, …", _parse_redact)
label = SettingType(text.name, _parse_label)

# -- of sinks ------------------------------------------------------------------------------------------------------


def _parse_headers(raw: str) -> Secret:
    names = [name for name, _ in header_pairs.parse(raw)]
    return fixed_secret(raw, ",".join(f"{name}={HIDDEN}" for name in names), header_pairs.values)


def _parse_attributes(raw: str) -> dict[str, str]:
    return dict(header_pairs.parse_pairs(raw))


def _parse_input_name(raw: str) -> str:
    return raw.lower()


def _parse_on_reject(raw: str) -> Path | None:
    if raw != "drop" and not raw.startswith("/"):
        raise ValueError("expected drop, or an absolute directory for dead letters")
    return None if raw == "drop" else Path(raw)


def _roots_of_letters(folder: Path | None) -> Iterable[DeclaredRoot]:
    return roots.to_write(folder) if folder else ()


def _parse_target(raw: str) -> str:
    from sidecars.logshipper.transform.parsing import name_templates  # noqa: PLC0415 - loaded only where it is set

    if name_templates.longest(name_templates.parse(raw), _LONGEST_VALUE) > _LONGEST_TARGET:
        raise ValueError(f"expected a template of names of {_LONGEST_TARGET} bytes at most")
    return raw


target = SettingType("template", _parse_target)
sink_url = SettingType("URL", sink_registry.parse, sensitive=True, roots=sink_registry.roots_of)
input_name = SettingType("name of an input", _parse_input_name)
http_headers = SettingType("Name=value, …", _parse_headers, repr, secret=True, parts=header_pairs.values)
attributes = SettingType("name=value, …", _parse_attributes, header_pairs.show_pairs)
dead_letters: SettingType[Path | None] = SettingType(
    "drop · directory", _parse_on_reject, lambda value: str(value or "drop"), roots=_roots_of_letters
)

"""The settings of one input: the files to tail, and the way from their lines to events and fields."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sidecars.chassis.config.setting_types import choice, comma_separated, duration, pairs, size, text
from sidecars.chassis.config.settings import setting
from sidecars.chassis.runtime.light_dataclasses import dataclass
from sidecars.logshipper.config import setting_types
from sidecars.logshipper.config.file_settings import InputFileSettings
from sidecars.logshipper.config.input_families.field_settings import FieldSettings
from sidecars.logshipper.config.input_families.reduction_settings import ReductionSettings
from sidecars.logshipper.config.time_settings import TimeSettings


@dataclass(frozen=True, kw_only=True)
class InputSettings(InputFileSettings, TimeSettings, FieldSettings, ReductionSettings):
    """The settings of one input, owned by `Settings.inputs`.

    Each input goes to all sinks that name no inputs, and to those that name it (`INPUTS`). A file that the
    globs of two inputs match belongs to the first input by name.
    """

    name: str
    set_by: Mapping[str, str] = MappingProxyType({})  # field -> the variable that set it
    paths: tuple[str, ...] = setting(
        comma_separated(setting_types.glob),
        "the log files: absolute globs, in which `**` matches any number of directories",
        heading="Inputs: files and lines",
    )
    exclude: tuple[str, ...] | None = setting(
        comma_separated(text), "globs of paths that are not tailed; in these globs `*` matches `/`, too", default=""
    )
    start_at: str = setting(
        choice("beginning", "end"),
        "the end at which reading begins in a file that exists at the start, as long as no position is saved",
        default="beginning",
    )
    max_line_size: int = setting(
        size("1KiB", "16MiB"), "the largest size of a line, or of an event of several lines", default="1MiB"
    )
    long_lines: str = setting(
        choice("split", "cut"),
        "a line that is longer than `MAX_LINE_SIZE` is shipped in pieces (`split`), or its end is dropped and counted "
        "(`cut`); each piece is marked `partial`",
        default="split",
    )
    format: str = setting(
        setting_types.formats,
        "the format by which an event is parsed into fields: `raw`, `json`, `logfmt`, `regex`, or that of a container "
        "runtime (`cri`, `docker`); with a second format, such as in `cri,json`, that one reads the `message` of the "
        "first; an event that cannot be parsed is shipped raw; `record` takes records and dead letters of ours as they "
        "are, with their ids",
        default="raw",
        heading="Inputs: format of lines",
    )
    regex: str | None = setting(
        setting_types.groups,
        "for the format `regex`: matches the whole first line of an event, and its named groups become the fields",
        default="",
    )
    time_key: str | None = setting(
        setting_types.field_paths,
        "the field that holds the event's time; it becomes the record's `time`; of a list such as `time,ts,t.$date` "
        "the first counts that has a time; `a.b` is the field `a.b`, or else `b` inside of `a`",
        default="",
    )
    time_format: str | None = setting(
        setting_types.time_format,
        "the format of the field that `TIME_KEY` names: `auto` (RFC 3339, numbers since 1970; the default), "
        "`rfc3339`, `unix`, `unix_ms`, `unix_us`, `unix_ns`, `apache`, `syslog`, `klog`, or a pattern such as "
        "`%d-%b-%Y %H:%M:%S.%f`",
        default="",
    )
    level_key: str | None = setting(
        setting_types.field_paths,
        "the field that holds the event's level, or a list as of `TIME_KEY`; it becomes the record's `level` and "
        "`severity`. `auto`: the usual fields, or lines of well-known forms. Unset: the usual fields, for sinks with a "
        "place for a level, while the record stays as it is. `none`: no level",
        default="",
    )
    multiline: str = setting(
        setting_types.multiline,
        "the lines that make one event: each line (`none`), a line and its stack trace (`java`, `python`, `go`, "
        "`ruby`, `php`, `node`, `dotnet`, `rust`, a list of them, or `auto` for all), a line and the indented lines "
        "after it (`indent`), or a line that a regex matches and all lines before the next such line (the regex, also "
        "written `regex:…`)",
        default="none",
        heading="Inputs: events of several lines",
    )
    multiline_timeout: float = setting(
        duration("10ms", "1m"), "the time for which the last event of a file waits for further lines", default="1s"
    )
    labels: dict[str, str] | None = setting(
        pairs(setting_types.label),
        "fields that are added to each record, such as `app=shop,env=prod`",
        default="",
        heading="Inputs: labels, redaction and filters",
    )
    redact: str | None = setting(
        setting_types.redaction,
        "texts to replace before an event leaves the process: `email`, `card`, `ipv4`, `ipv6` (all four: `personal`), "
        "`bearer`, `cookie`, `jwt`, `apikey`, `password`, `url` (all six: `secrets`), and regexes between slashes; "
        "where a regex has groups, only the groups are replaced",
        default="",
    )
    keep: str | None = setting(
        setting_types.search,
        "a regex: events in which it is found are shipped, all others are dropped and counted",
        default="",
    )
    drop: str | None = setting(
        setting_types.search,
        "a regex: events in which it is found are dropped and counted, even if `KEEP` matches",
        default="",
    )
